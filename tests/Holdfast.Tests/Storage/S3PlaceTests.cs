using Holdfast.Core;
using Holdfast.Storage.S3;

namespace Holdfast.Tests.Storage;

/// <summary>How an object store is named, and where its credentials come from.</summary>
public sealed class S3PlaceTests
{
    [Theory]
    [InlineData("s3:https://s3.example.org/vault", "https://s3.example.org/", "vault", "", "us-east-1", true)]
    [InlineData("s3:https://s3.example.org:8443/my-vault.2/trust-a/b_c/", "https://s3.example.org:8443/", "my-vault.2", "trust-a/b_c/", "us-east-1", true)]
    [InlineData("s3:https://s3.eu-west-2.amazonaws.com/vault/x?region=eu-west-2&style=virtual", "https://s3.eu-west-2.amazonaws.com/", "vault", "x/", "eu-west-2", false)]
    [InlineData("s3:http://127.0.0.1:7480/vault?style=path", "http://127.0.0.1:7480/", "vault", "", "us-east-1", true)]
    [InlineData("s3:http://[::1]:7480/vault", "http://[::1]:7480/", "vault", "", "us-east-1", true)]
    [InlineData("s3:http://localhost/vault", "http://localhost/", "vault", "", "us-east-1", true)]
    public void A_place_is_read_and_written_as_it_was(string text, string endpoint, string bucket, string prefix, string region, bool isPathStyle)
    {
        var place = S3Place.Parse(text);
        Assert.Equal(new S3Place(new Uri(endpoint), bucket, prefix, region, isPathStyle), place);
        Assert.Equal(place, S3Place.Parse(place.ToString()));
    }

    [Theory]
    [InlineData("s3:")]
    [InlineData("s3:vault/x")]
    [InlineData("s3:ftp://s3.example.org/vault")]
    [InlineData("s3:https://s3.example.org")]
    [InlineData("s3:https://s3.example.org/")]
    [InlineData("s3:https://s3.example.org/ab")]
    [InlineData("s3:https://s3.example.org/Vault")]
    [InlineData("s3:https://s3.example.org/a..b")]
    [InlineData("s3:https://s3.example.org/vault/a//b")]
    [InlineData("s3:https://s3.example.org/vault/a%2Fb")]
    [InlineData("s3:https://s3.example.org/vault/a b")]
    [InlineData("s3:https://key:secret@s3.example.org/vault")]
    [InlineData("s3:https://s3.example.org/vault#x")]
    [InlineData("s3:https://s3.example.org/vault?secret=x")]
    [InlineData("s3:https://s3.example.org/vault?region=")]
    [InlineData("s3:http://s3.example.org/vault")]
    [InlineData("s3:http://10.0.0.1/vault")]
    [InlineData("s3:http://127.0.0.1.example.org/vault")]
    [InlineData("/srv/vault")]
    public void What_is_no_place_is_refused(string text) => Assert.Equal(ErrorCode.Usage, Assert.Throws<HoldfastException>(() => S3Place.Parse(text)).Code);

    [Theory]
    [InlineData("KEY\nsecret/+=\n", true)]
    [InlineData("KEY\r\nsecret/+=\r\n", true)]
    [InlineData("KEY\nsecret/+=", true)]
    [InlineData("KEY\n", false)]
    [InlineData("KEY\nsecret\nmore\n", false)]
    [InlineData("KEY secret\n", false)]
    [InlineData("[default]\naws_access_key_id = KEY\n", false)]
    [InlineData("", false)]
    public void Credentials_are_two_lines(string text, bool isRight)
    {
        using var folder = new TempFolder();
        File.WriteAllText(folder["s3"], text);
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(folder["s3"], UnixFileMode.UserRead | UnixFileMode.UserWrite);
        if (isRight)
            Assert.DoesNotContain("secret/", S3Credentials.Read(folder["s3"]).ToString(), StringComparison.Ordinal);
        else
            Assert.Equal(ErrorCode.KeyFileBad, Assert.Throws<HoldfastException>(() => S3Credentials.Read(folder["s3"])).Code);
    }

    [Fact]
    public void Credentials_that_others_may_read_are_refused()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "needs file modes");
        using var folder = new TempFolder();
        Assert.Equal(ErrorCode.KeyFileBad, Assert.Throws<HoldfastException>(() => S3Credentials.Read(folder["none"])).Code);
        File.WriteAllText(folder["s3"], "KEY\nsecret\n");
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(folder["s3"], UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead);
        Assert.Equal(ErrorCode.KeyFileBad, Assert.Throws<HoldfastException>(() => S3Credentials.Read(folder["s3"])).Code);
    }
}
