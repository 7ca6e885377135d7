using System.Net;
using System.Text.RegularExpressions;
using Holdfast.Core;

namespace Holdfast.Storage.S3;

/// <summary>A part of a bucket of an S3 service: <c>s3:https://HOST[:PORT]/BUCKET[/PREFIX][?region=NAME][&amp;style=path|virtual]</c>. No credentials: those come from a file or from the
/// environment (<see cref="S3Credentials"/>).</summary>
/// <param name="Endpoint">Scheme, host and port. https; http to this machine alone.</param>
/// <param name="Bucket">As S3 allows names.</param>
/// <param name="Prefix">What all keys begin with: empty, or ends with a slash.</param>
/// <param name="Region">What requests are signed for; <c>us-east-1</c> where none is named.</param>
/// <param name="IsPathStyle">The bucket stands in the path, not in the host name; so where nothing else is said.</param>
public sealed partial record S3Place(Uri Endpoint, string Bucket, string Prefix, string Region, bool IsPathStyle)
{
    const string Scheme = "s3:";
    const string DefaultRegion = "us-east-1";
    const int MaxPrefix = 512; // characters; a key has 1,024 bytes at most, of which a name takes 75

    /// <summary>True of what is meant as a place of this kind, sound or not.</summary>
    public static bool IsOne(string text) => text.StartsWith(Scheme, StringComparison.Ordinal);

    /// <exception cref="HoldfastException"><c>Usage</c>: what is wrong with it.</exception>
    public static S3Place Parse(string text)
    {
        if (!IsOne(text) || !Uri.TryCreate(text[Scheme.Length..], UriKind.Absolute, out var uri) || uri.Scheme is not ("https" or "http") || uri.Host.Length == 0)
            throw Wrong("it is no address such as s3:https://HOST/BUCKET/PREFIX");
        if (uri.UserInfo.Length > 0)
            throw Wrong("credentials do not belong in it: they come from a file or the environment");
        if (uri.Fragment.Length > 0)
            throw Wrong("it has a #");
        if (uri.Scheme == "http" && !IsThisMachine(uri))
            throw Wrong("http goes to this machine alone; across a network it is https");
        var path = uri.AbsolutePath.Trim('/').Split('/', 2);
        if (!BucketName().IsMatch(path[0]) || path[0].Contains("..", StringComparison.Ordinal))
            throw Wrong("the bucket's name has 3 to 63 small letters, digits, dots and hyphens, and begins and ends with a letter or digit");
        var prefix = path.Length == 1 ? "" : path[1] + "/";
        if (prefix.Length > MaxPrefix || (prefix.Length > 0 && !Array.TrueForAll(path[1].Split('/'), p => Part().IsMatch(p) && p is not ("." or ".."))))
            throw Wrong("the prefix has letters, digits, dots, hyphens and underscores, in parts between slashes, 511 characters at most");
        var (region, isPathStyle) = (DefaultRegion, true);
        foreach (var option in uri.Query.TrimStart('?').Split('&', StringSplitOptions.RemoveEmptyEntries))
        {
            switch (option.Split('=', 2))
            {
                case ["region", var name] when Part().IsMatch(name):
                    region = name;
                    break;
                case ["style", "path" or "virtual"]:
                    isPathStyle = option.EndsWith("path", StringComparison.Ordinal);
                    break;
                default:
                    throw Wrong("after the question mark stand region=NAME and style=path or style=virtual, with & between them");
            }
        }
        return new S3Place(new Uri(uri.GetLeftPart(UriPartial.Authority)), path[0], prefix, region, isPathStyle);
    }

    /// <summary>By address, or by the one name that every machine has for itself.</summary>
    static bool IsThisMachine(Uri uri) => uri.Host == "localhost" || (IPAddress.TryParse(uri.Host.Trim('[', ']'), out var address) && IPAddress.IsLoopback(address));

    static HoldfastException Wrong(string why) => new(ErrorCode.Usage, $"This is no place in an object store: {why}.",
        "Write it as s3:https://HOST[:PORT]/BUCKET[/PREFIX][?region=NAME], such as s3:https://s3.example.org/holdfast-vault/trust-a?region=eu-west-2.");

    /// <summary>As it is parsed.</summary>
    public override string ToString() => $"{Scheme}{Endpoint.GetLeftPart(UriPartial.Authority)}/{Bucket}/{Prefix}".TrimEnd('/') + $"?region={Region}{(IsPathStyle ? "" : "&style=virtual")}";

    [GeneratedRegex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
    private static partial Regex BucketName();

    [GeneratedRegex("^[A-Za-z0-9._-]{1,200}$")]
    private static partial Regex Part();
}
