using Holdfast.Core.Codec;
using Holdfast.Core.Keys;
using Holdfast.Core.Packs;

namespace Holdfast.Core.Snapshots;

/// <summary>Where in a vault a snapshot is to stand: all of it is under its agent's signature.</summary>
/// <param name="Vault">Vault id.</param>
/// <param name="Domain">Trust domain.</param>
/// <param name="Source">Of what it is.</param>
/// <param name="Session">That stored its chunks.</param>
/// <param name="ParentContentRoot">Of the snapshot of that source before it; none for a first one.</param>
public sealed record SnapshotStand(Id16 Vault, Id16 Domain, Id16 Source, Id16 Session, Hash32 ParentContentRoot);

/// <summary>What an agent says of a snapshot: all that it saw, under its signature. Whoever seals it adds which packs hold it.</summary>
/// <param name="Snapshot">An id that no other snapshot has; of a run that may be begun more than once, always the same.</param>
/// <param name="ClientTime">Seconds since 1970 by the agent's clock.</param>
/// <param name="Entries">In the tree.</param>
/// <param name="Files">Among them.</param>
/// <param name="LogicalBytes">Theirs.</param>
/// <param name="Tree">A <see cref="TreeSection"/>, encoded.</param>
/// <param name="Features">A <see cref="RunStatistics"/>, encoded.</param>
/// <param name="Problems">A <see cref="ProblemSection"/>, encoded; empty for none.</param>
/// <param name="Signature">Ed25519, over what <see cref="SnapshotObject.SignedBytes()"/> gives.</param>
public sealed record SnapshotStatement(Id16 Snapshot, long ClientTime, ulong Entries, ulong Files, ulong LogicalBytes, byte[] Tree, byte[] Features, byte[] Problems, byte[] Signature)
{
    const int MaxSection = 64 << 20; // bytes

    /// <summary>Signs what was seen.</summary>
    internal static SnapshotStatement Sign(SnapshotStand stand, Id16 snapshot, AgentKey agent, long clientTime, ulong entries, ulong files, ulong logicalBytes, TreeSection tree, RunStatistics statistics, IReadOnlyCollection<SourceProblem> problems)
    {
        var made = new SnapshotStatement(snapshot, clientTime, entries, files, logicalBytes, tree.ToWriter().ToArray(), statistics.ToWriter().ToArray(), problems.Count > 0 ? ProblemSection.ToWriter(problems).ToArray() : [], []);
        return made with { Signature = agent.Signer.Sign(made.SignedBytes(stand, tree)) };
    }

    byte[] SignedBytes(SnapshotStand stand, TreeSection tree) =>
        SnapshotObject.SignedBytes(stand.Vault, stand.Domain, stand.Source, stand.Session, Snapshot, ContentRoot(stand, tree), stand.ParentContentRoot, ClientTime, Entries, LogicalBytes);

    Hash32 ContentRoot(SnapshotStand stand, TreeSection tree) =>
        SnapshotObject.ContentRootOf(tree.RootSalt, stand.Vault, stand.Domain, stand.Source, stand.Session, Snapshot, stand.ParentContentRoot, tree.Root.Digest);

    /// <summary>The tree section; null where no reader takes one of the sections.</summary>
    internal TreeSection? Read() => TreeSection.TryParse(Tree, out var tree) && RunStatistics.TryParse(Features, out _) && (Problems.Length == 0 || ProblemSection.Parse(Problems) is not null) ? tree : null;

    /// <summary>True where the agent signed it.</summary>
    internal bool IsSigned(SnapshotStand stand, TreeSection tree, ReadOnlySpan<byte> publicKey) => Crypto.Ed25519Signer.Verify(publicKey, SignedBytes(stand, tree), Signature);

    /// <summary>The snapshot's object.</summary>
    /// <param name="stand">Where it stands.</param>
    /// <param name="tree">Its tree section, read.</param>
    /// <param name="agent">Who signed.</param>
    /// <param name="parent">Name of the parent's object; none for a first one.</param>
    /// <param name="session">Seals it.</param>
    /// <param name="packs">That hold it.</param>
    /// <param name="references">Chunks in packs neither of its parent nor of its session.</param>
    /// <param name="newBytes">Of the packs of its session.</param>
    /// <param name="areAll">The references are all there are.</param>
    internal SnapshotObject Seal(SnapshotStand stand, TreeSection tree, Id16 agent, Hash32 parent, PackSession session, PackSetDelta packs, IReadOnlyList<Hash32> references, ulong newBytes, bool areAll = false)
    {
        var put = session.Put;
        return new SnapshotObject
        {
            Vault = stand.Vault,
            Domain = stand.Domain,
            Salt = new Hash32(System.Security.Cryptography.RandomNumberGenerator.GetBytes(Hash32.Size)),
            Snapshot = Snapshot,
            Source = stand.Source,
            Agent = agent,
            Session = stand.Session,
            Writer = put.Writer,
            WriterEpoch = put.WriterEpoch,
            KeyEpoch = put.SealingKeyFor(KeyClass.Tree, stand.Source).Epoch,
            ClientTime = ClientTime,
            Parent = parent,
            ContentRoot = ContentRoot(stand, tree),
            ParentContentRoot = stand.ParentContentRoot,
            Entries = Entries,
            Files = Files,
            LogicalBytes = LogicalBytes,
            NewBytes = newBytes,
            Packs = packs,
            Sections =
            [
                SnapshotSection.Seal(SnapshotSection.Tree, Snapshot, session, Plain(Tree)),
                SnapshotSection.Seal(SnapshotSection.Features, Snapshot, session, Plain(Features)),
                SnapshotSection.SealReferences(Snapshot, put.Domain, references, areAll),
                .. Problems.Length > 0 ? new[] { SnapshotSection.Seal(SnapshotSection.Problems, Snapshot, session, Plain(Problems)) } : [],
            ],
            Signatures = [new SnapshotSignature(SnapshotSignature.Agent, agent, SnapshotSignature.Ed25519, Signature)],
        };

        static ByteWriter Plain(byte[] section)
        {
            var writer = new ByteWriter(section.Length + 256);
            writer.Raw(section);
            return writer;
        }
    }

    internal void Write(ByteWriter writer)
    {
        writer.Id(Snapshot);
        writer.I64(ClientTime);
        writer.U64(Entries);
        writer.U64(Files);
        writer.U64(LogicalBytes);
        foreach (var bytes in new[] { Tree, Features, Problems, Signature })
            writer.Bytes(bytes);
    }

    /// <summary>The reader fails where there is none.</summary>
    internal static SnapshotStatement Read(ref ByteReader reader) => new(reader.Id(), reader.I64(), reader.U64(), reader.U64(), reader.U64(),
        reader.Bytes(MaxSection).ToArray(), reader.Bytes(MaxSection).ToArray(), reader.Bytes(MaxSection).ToArray(), reader.Bytes(Crypto.Ed25519Signer.SignatureSize).ToArray());
}
