namespace Holdfast.Core.Keeper;

/// <summary>What a client of a keeper may ask of it. None of them removes, overwrites or shortens anything: there is no such request.</summary>
public enum KeeperRole
{
    /// <summary>Store packs and objects, and commit. It reads the log, lists, and reads what is stored, all of which is sealed: to know what is there already.</summary>
    Backup = 1,

    /// <summary>Read, and have it recorded that something was read.</summary>
    Read = 2,

    /// <summary>All there is: also lengthen locks, raise policies, record attestations, enrol keys and begin key epochs.</summary>
    Manage = 3,

    /// <summary>Read, and record what attestations found, as a clean room does.</summary>
    Attest = 4,
}
