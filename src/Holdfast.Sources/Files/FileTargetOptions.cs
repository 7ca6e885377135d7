namespace Holdfast.Sources.Files;

/// <summary>What a restore does with what is there already.</summary>
public enum ExistingFiles
{
    /// <summary>The target must be empty or absent.</summary>
    Refuse = 0,

    /// <summary>Files of equal content stay, whatever their time, which is set; others are replaced: goes on with an interrupted restore.</summary>
    KeepEqual = 1,

    /// <summary>Every file of the snapshot is written anew; files that the snapshot does not have stay.</summary>
    Replace = 2,
}

/// <summary>How a tree is written back.</summary>
public sealed record FileTargetOptions
{
    public ExistingFiles Existing { get; init; }

    /// <summary>Folders in which nothing may be restored: the vault's own, and that of the keys. Where they lie in the target they stay as they are, and entries that would lie there are told.</summary>
    public IReadOnlyList<string> Forbidden { get; init; } = [];

    /// <summary>Owners, and who access control lists name, by their names on this machine, where it has them, instead of by number. A name that it has not, and one in a list that the snapshot has not, is told as refused.</summary>
    public bool MapOwnersByName { get; init; }

    /// <summary>Ends what takes long within one file: comparing it with the snapshot's, copying it for a further name.</summary>
    public CancellationToken Stop { get; init; }
}
