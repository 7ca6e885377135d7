using System.Text;
using Holdfast.Core.Codec;
using Holdfast.Core.Crypto;

namespace Holdfast.Core.Keys;

/// <summary>The key of a witness, readable by the witness alone (docs/format.md, section 13.1).</summary>
public static class WitnessKeyFile
{
    public const string Name = "witness.key";

    const string FirstLine = "holdfast witness key v1";
    const int MaxSize = 4_096; // bytes
    const int MaxName = 1_024; // bytes

    public static byte[] Write(string name, SecretBytes seed)
    {
        var body = new ByteWriter();
        body.Bytes(Encoding.UTF8.GetBytes(name));
        body.Raw(seed.Span);
        return KeyText.Write(FirstLine, body.Span);
    }

    /// <exception cref="HoldfastException"><c>KeyFileBad</c>, <c>NoPermission</c>.</exception>
    public static (string Name, Ed25519Signer Signer) Read(string folder)
    {
        byte[] text;
        try
        {
            text = Storage.PlainFile.ReadAll(Path.Combine(folder, Name), MaxSize) ?? throw Bad("Something else than a witness's key stands at witness.key.");
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw Bad("There is no witness in that folder: it has no witness.key.");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Storage.DiskFault.Of(e);
        }
        var reader = new ByteReader(KeyText.Read(FirstLine, text));
        var name = Encoding.UTF8.GetString(reader.Bytes(MaxName));
        var seed = reader.Raw(Ed25519Signer.SeedSize);
        return reader.IsDone ? (name, new Ed25519Signer(seed)) : throw Bad("The witness's key is of another version, or damaged.");
    }

    static HoldfastException Bad(string message) => new(ErrorCode.KeyFileBad, message, "Check the path. `holdfast witness init FOLDER --name NAME` makes a witness and its key; a key that is lost is lost, and logs need another witness then.");
}
