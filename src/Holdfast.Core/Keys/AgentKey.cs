using Holdfast.Core.Codec;
using Holdfast.Core.Crypto;

namespace Holdfast.Core.Keys;

/// <summary>An agent's identity: it signs what it sends, and reads nothing.</summary>
public sealed class AgentKey : IDisposable
{
    const string FirstLine = "holdfast agent key v1";

    readonly SecretBytes _seed;

    public AgentKey(Id16 vault, Id16 agent, ReadOnlySpan<byte> seed)
    {
        Vault = vault;
        Agent = agent;
        _seed = new SecretBytes(seed);
        Signer = new Ed25519Signer(seed);
    }

    public static AgentKey Create(Id16 vault)
    {
        using var seed = SecretBytes.Random(Ed25519Signer.SeedSize);
        return new AgentKey(vault, Id16.New(), seed.Span);
    }

    public Id16 Vault { get; }
    public Id16 Agent { get; }
    public Ed25519Signer Signer { get; }

    /// <summary>A key for one purpose on this machine, such as the state file; not part of the format.</summary>
    public SecretBytes LocalKey(ReadOnlySpan<byte> label) => Kdf.DeriveKey(_seed.Span, label, default);

    public byte[] ToText()
    {
        var body = new ByteWriter();
        body.Id(Vault);
        body.Id(Agent);
        body.Raw(_seed.Span);
        return KeyText.Write(FirstLine, body.Span);
    }

    /// <exception cref="HoldfastException"><c>KeyFileBad</c>.</exception>
    public static AgentKey Parse(ReadOnlySpan<byte> text)
    {
        var reader = new ByteReader(KeyText.Read(FirstLine, text));
        var vault = reader.Id();
        var agent = reader.Id();
        var seed = reader.Raw(Ed25519Signer.SeedSize);
        if (!reader.IsDone)
            throw KeyText.Bad("The agent key file is of another version, or damaged.");
        return new AgentKey(vault, agent, seed);
    }

    public void Dispose()
    {
        Signer.Dispose();
        _seed.Dispose();
    }
}
