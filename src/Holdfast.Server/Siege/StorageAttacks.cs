namespace Holdfast.Server.Siege;
sealed class StorageAttacks(Stage stage) { public IEnumerable<Attack> All() { _ = stage; yield break; } }
