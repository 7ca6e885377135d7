using Holdfast.Core.Codec;
using Holdfast.Core.Crypto;
using Holdfast.Core.Keys;

namespace Holdfast.Core.Keeper;

/// <summary>The key the keeper signs its log with: in the keeper's own folder, readable by the keeper alone.</summary>
static class LogKeyFile
{
    const string FirstLine = "holdfast log key v1";
    const int MaxSize = 4_096; // bytes

    public static byte[] Write(Id16 vault, SecretBytes seed)
    {
        var body = new ByteWriter();
        body.Id(vault);
        body.Raw(seed.Span);
        return KeyText.Write(FirstLine, body.Span);
    }

    /// <summary>The vault that a log key is of.</summary>
    /// <exception cref="HoldfastException"><c>KeyFileBad</c>.</exception>
    public static Id16 VaultOf(ReadOnlySpan<byte> text) => new ByteReader(KeyText.Read(FirstLine, text)).Id();

    /// <exception cref="HoldfastException"><c>KeyFileBad</c>, <c>WrongVault</c>, <c>NoPermission</c>.</exception>
    public static Ed25519Signer Read(string path, Id16 vault)
    {
        byte[] text;
        try
        {
            text = Storage.PlainFile.ReadAll(path, MaxSize) ?? throw KeyText.Bad("Something else than a log key stands at keeper/log.key.");
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new HoldfastException(ErrorCode.KeyFileBad, "The vault's log key is missing: nothing can be committed.",
                "Put keeper/log.key back from where you keep a copy of it; copies of the vault for another site have none. Without it go on with a new vault. Listing, restoring and verifying work without it.");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Storage.DiskFault.Of(e);
        }
        var reader = new ByteReader(KeyText.Read(FirstLine, text));
        var of = reader.Id();
        var seed = reader.Raw(Ed25519Signer.SeedSize);
        if (!reader.IsDone)
            throw KeyText.Bad("The vault's log key is of another version, or damaged.");
        if (of != vault)
            throw new HoldfastException(ErrorCode.WrongVault, "The log key in this folder is of another vault.", "Put back the keeper folder that belongs to this vault.");
        return new Ed25519Signer(seed);
    }
}
