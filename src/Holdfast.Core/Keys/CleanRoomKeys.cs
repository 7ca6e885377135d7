using Holdfast.Core.Crypto;

namespace Holdfast.Core.Keys;

/// <summary>What an unattended clean room holds: the tree and the content class of a whole domain, in the epochs that its two keys were cut for. It opens snapshots; it makes no key, opens no keyring, and cannot tell what the erasure register names.</summary>
public sealed class CleanRoomKeys : ReadingKeys
{
    readonly ScopedKeys _tree;
    readonly ScopedKeys _content;
    IReadOnlyList<SealingKey> _rows = [];
    ulong _newest;

    CleanRoomKeys(ScopedKeys tree, ScopedKeys content) : base(tree.Vault) => (_tree, _content) = (tree, content);

    /// <param name="tree">Taken over, also where it is refused.</param>
    /// <param name="content">Likewise.</param>
    /// <exception cref="HoldfastException"><c>WrongVault</c>: they are of two vaults. <c>KeyTooNarrow</c>: one is of another class, or of one source.</exception>
    public static CleanRoomKeys Of(ScopedKeys tree, ScopedKeys content)
    {
        var isOfOne = tree.Vault == content.Vault;
        if (isOfOne && tree is { Class: KeyClass.Tree, IsOfAll: true } && content is { Class: KeyClass.Content, IsOfAll: true })
            return new CleanRoomKeys(tree, content);
        tree.Dispose();
        content.Dispose();
        throw isOfOne ? new HoldfastException(ErrorCode.KeyTooNarrow, "The clean room's keys are not what it needs: one of the tree class and one of the content class, each of all sources.", "Cut them anew: `holdfast cleanroom key`, with the opening key.")
            : new HoldfastException(ErrorCode.WrongVault, "The clean room's two keys are of two vaults.", "Cut them anew: `holdfast cleanroom key`, with the opening key.");
    }

    /// <summary>What the log calls the clean room that holds them: the id of its key of the tree class.</summary>
    public Id16 Id => _tree.Key;

    /// <summary>When the first of them should be replaced, seconds since 1970; 0 for never.</summary>
    public ulong Expiry => Math.Min(_tree.Expiry, _content.Expiry);

    public override IReadOnlyCollection<DomainKeys> Domains => _tree.Domains;

    /// <summary>They open what is sealed in the newest key epoch; false too before <see cref="Know"/>.</summary>
    public bool IsNewest => _rows.Count > 0 && Domains.All(d => OpensAll(d.Domain, KeyClass.Tree, _newest) && OpensAll(d.Domain, KeyClass.Content, _newest));

    /// <summary>Tells of which epochs they are.</summary>
    /// <param name="rows">Of the keyring that the vault's log names.</param>
    /// <param name="newest">The newest key epoch there is: no sound writer seals to a later one.</param>
    internal void Know(IReadOnlyList<SealingKey> rows, ulong newest) => (_rows, _newest) = (rows, newest);

    protected internal override XWingPrivateKey? PrivateKey(SessionSeal seal) => Of(seal.Class)?.PrivateKey(seal);

    ScopedKeys? Of(KeyClass keyClass) => keyClass switch { KeyClass.Tree => _tree, KeyClass.Content => _content, _ => null };

    /// <remarks>A row of the keyring that they do not open is enough for no: nobody is accused of what another key may open.</remarks>
    public override bool OpensAllLike(SessionSeal seal) => Of(seal.Class) is not null && Domains.Any(d => d.Domain == seal.Domain)
        && _rows.Count > 0 && (seal.Epoch == 0 || seal.Epoch > _newest || OpensAll(seal.Domain, seal.Class, seal.Epoch));

    bool OpensAll(Id16 domain, KeyClass keyClass, ulong epoch)
    {
        var rows = _rows.Where(r => r.Domain == domain && r.Class == keyClass && r.Epoch == epoch).ToList();
        return rows.Count > 0 && rows.TrueForAll(r => Of(keyClass)!.Opens(r.KeyId));
    }

    internal override SealingKey TreeKeyFor(Id16 domain, Id16 source) =>
        _rows.Where(r => r.Class == KeyClass.Tree && r.Domain == domain && (r.Source == source || r.Source.IsNone) && _tree.Opens(r.KeyId)).OrderByDescending(r => r.Source == source).ThenByDescending(r => r.Epoch).FirstOrDefault()
        ?? base.TreeKeyFor(domain, source);

    protected override void Dispose(bool disposing)
    {
        base.Dispose(disposing);
        _tree.Dispose();
        _content.Dispose();
    }
}
