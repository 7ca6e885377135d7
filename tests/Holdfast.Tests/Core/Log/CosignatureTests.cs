using Holdfast.Core.Crypto;
using Holdfast.Core.Log;

namespace Holdfast.Tests.Core.Log;

public sealed class CosignatureTests
{
    static readonly Ed25519Signer LogSigner = new(new byte[32]);
    static readonly VerifierKey LogKey = new("holdfast/00112233445566778899aabbccddeeff", LogSigner.PublicKey.ToArray());
    static readonly Ed25519Signer Signer = new([.. Enumerable.Repeat((byte)7, 32)]);
    static readonly CosignerKey Key = new("witness.example/w1", Signer.PublicKey.ToArray());

    static Checkpoint Some(long size = 5) => Checkpoint.Sign(LogKey.Name, size, LogHash.Leaf([(byte)size]), LogSigner);

    /// <summary>Public witnesses, with the keys that their operators publish.</summary>
    [Theory]
    [InlineData("witness.navigli.sunlight.geomys.org+a3e00fe2+BNy/co4C1Hn1p+INwJrfUlgz7W55dSZReusH/GhUhJ/G")]
    [InlineData("witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv")]
    [InlineData("rgdd.se/poc-witness+db03732e+BCjJKlo6BU0xfIb8LutqerIFTWIXEA0L5n3tW3QyPFgG")]
    [InlineData("transparency.dev/DEV:witness-little-garden+d8042a87+BCtusOxINQNUTN5Oj8HObRkh2yHf/MwYaGX4CPdiVEPM")]
    public void Keys_of_public_witnesses_are_read(string text)
    {
        Assert.True(CosignerKey.TryParse(text, out var key));
        Assert.Equal(text, key.ToString());
        Assert.False(VerifierKey.TryParse(text, out _)); // a witness is no log
        Assert.False(CosignerKey.TryParse(text.Replace("+B", "+A", StringComparison.Ordinal), out _));
        var digit = text[text.IndexOf('+', StringComparison.Ordinal) + 1];
        Assert.False(CosignerKey.TryParse(text.Replace($"+{digit}", $"+{(digit == '0' ? '1' : '0')}", StringComparison.Ordinal), out _));
    }

    /// <summary>Checkpoints as that witness showed them in public in 2026, with the cosignature of this kind alone.</summary>
    [Theory]
    [InlineData("coachandhorses2026h1.staging.certificate.transparency.goog\n185550722\nYXAM0VmnrfvLaBCOOYSJhCaE5F10oGBOo+hkbDa1kng=\n\n"
        + "— coachandhorses2026h1.staging.certificate.transparency.goog MpXgsHy8ZwxXnO+WjtVrPxAzL49Rs1gWTkNVNeEa//5peAzaocRCB3qt3EaibjzY5GILLtGgBP7dBhgcSHy+JQh0OAc=\n"
        + "— witness.navigli.sunlight.geomys.org o+AP4gAAAABqb7DzNrGFRJnQ9vrJ8xpnwZytnr/ZYczDIsvwvouiSjwOjn7a72ccxBk+lKnZ7dKqkYKER1s/KxLTaVwQD7lJZTC/CQ==\n", 185_550_722L, 0x6A6FB0F3UL)]
    [InlineData("markovianprotocol.com/log\n9266\nQnwPzJywq5AyOk9k1zLqfryh6Ktw1CnaaKplELApoxw=\n\n"
        + "— markovianprotocol.com/log AwLGyIvuxLXZM101mKdNCPTsl9GgtiG/wzbd8cGru0pGnWVMXI06twIsEIZho7n8id+w2EO0BZCalxuEm6BauQGNmgo=\n"
        + "— witness.navigli.sunlight.geomys.org o+AP4gAAAABqwX+So8evhUsltetL+QnwUxEYMNrD25pJYOTFHwDCopbgQMl2AEh583AxfFNMDZzE73rdjK62tUN8oUBfd9p6usq+BA==\n", 9_266L, 0x6AC17F92UL)]
    public void What_a_public_witness_cosigned_verifies(string note, long size, ulong time)
    {
        Assert.True(CosignerKey.TryParse("witness.navigli.sunlight.geomys.org+a3e00fe2+BNy/co4C1Hn1p+INwJrfUlgz7W55dSZReusH/GhUhJ/G", out var key));
        Assert.True(Checkpoint.TryParse(note, out var checkpoint));
        Assert.Equal(size, checkpoint.Size);
        Assert.Equal(time, checkpoint.CosignedAt(key));
        Assert.Equal(time, checkpoint.Reduced([], [key]).CosignedAt(key));
        var digits = size.ToString(System.Globalization.CultureInfo.InvariantCulture);
        Assert.True(Checkpoint.TryParse(note.Replace(digits, digits[..^1] + "9", StringComparison.Ordinal), out var other));
        Assert.Null(other.CosignedAt(key));
    }

    [Fact]
    public void A_cosignature_holds_for_its_checkpoint_its_time_and_its_key_alone()
    {
        var cosigned = Some().Cosign(Key, Signer, 1_800_000_000);
        Assert.True(Checkpoint.TryParse(cosigned.Note, out var read));
        Assert.Equal(1_800_000_000UL, read.CosignedAt(Key));
        Assert.True(read.IsSignedBy(LogKey));
        Assert.Null(read.CosignedAt(new CosignerKey("witness.example/w2", Key.PublicKey)));
        Assert.Null(read.CosignedAt(new CosignerKey(Key.Name, LogKey.PublicKey)));
        Assert.Null(Some().CosignedAt(Key));
        var lines = cosigned.CosignatureLines([Key]);
        Assert.Null(Some(6).With(lines).CosignedAt(Key));
        var bytes = Convert.FromBase64String(lines.Split(' ')[2]);
        Assert.Equal(4 + 8 + 64, bytes.Length);
        for (var i = 0; i < bytes.Length; i++)
        {
            bytes[i] ^= 1;
            Assert.Null(Some().With($"— {Key.Name} {Convert.ToBase64String(bytes)}\n").CosignedAt(Key));
            bytes[i] ^= 1;
        }
        // A log's own signature over the same text is none of a witness, whoever has the key.
        Assert.Null(Checkpoint.Sign(Key.Name, 5, LogHash.Empty, Signer).CosignedAt(Key));
    }

    [Fact]
    public void Of_many_signatures_those_are_kept_that_hold_and_of_each_witness_its_latest()
    {
        var second = new Ed25519Signer([.. Enumerable.Repeat((byte)8, 32)]);
        var other = new CosignerKey("witness.example/w2", second.PublicKey.ToArray());
        var note = Some().Cosign(Key, Signer, 20).Cosign(other, second, 5).Cosign(Key, Signer, 30).Cosign(Key, Signer, 10).With("— someone.else AAAAAAAAAAAA\n");
        var reduced = note.Reduced([LogKey], [other, Key]);
        Assert.Equal([LogKey.Name, other.Name, Key.Name], reduced.Note[(reduced.Note.IndexOf("\n\n", StringComparison.Ordinal) + 2)..].TrimEnd('\n').Split('\n').Select(l => l.Split(' ')[1]));
        Assert.Equal((30UL, 5UL), (reduced.CosignedAt(Key), reduced.CosignedAt(other)));
        Assert.True(Checkpoint.TryParse(reduced.Note, out _));
    }

    [Theory]
    [InlineData("a\tb", false)]
    [InlineData("a\u0000b", false)]
    [InlineData("a\u001fb", false)]
    [InlineData("go.sum database tree", true)] // an origin need not be a name
    public void A_note_has_no_control_characters(string origin, bool isNote) =>
        Assert.Equal(isNote, Checkpoint.TryParse(Some().Note.Replace(LogKey.Name + "\n", origin + "\n", StringComparison.Ordinal), out _));
}
