namespace Holdfast.Server.Siege;
sealed class CommitAttacks(Stage stage) { public IEnumerable<Attack> All() { _ = stage; yield break; } }
sealed class StorageAttacks(Stage stage) { public IEnumerable<Attack> All() { _ = stage; yield break; } }
sealed class OwnerAttacks(Stage stage) { public IEnumerable<Attack> All() { _ = stage; yield break; } }
sealed class ClockAttacks(Stage stage) { public IEnumerable<Attack> All() { _ = stage; yield break; } }
sealed class RootAttacks(Stage stage) { public IEnumerable<Attack> All() { _ = stage; yield break; } }
