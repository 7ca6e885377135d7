namespace Holdfast.Core.Crypto;

/// <summary>256 short English words, one for each byte, so that two people can compare a hash over the telephone. Their order is part of
/// the format (docs/format.md, section 13.3): never changed.</summary>
/// <remarks>Chosen so that no two begin with the same three letters and few sound like another word.</remarks>
public static class CheckWords
{
    static readonly string[] Words =
        """
        acorn actor anchor apple apron arrow autumn axe bacon badger bag baker banana barley basket beaver bench bicycle binder
        birch blanket blue book bottle bowl bridge broom brush bucket butter cabin cake calf camel canyon carrot castle cat
        cave chair cheese circus cliff cloud coast cocoa coffee coin copper corner cotton cow crab cream crow cup curry daisy
        dance desert dew dish dog donkey door dozen drum duck dune eagle echo eleven engine evening falcon farmer fence ferret
        fiddle field fig flag flint flute fog forest fox frog garlic gate ginger glass glove goat gold goose grape green guitar
        ham hat hawk hazel heath helmet heron hill hinge honey hook hotel ice index island ivy jacket jam jug jungle kettle
        kite ladder lake lamb lantern leaf legend lemon letter lily lime linen lion locker magnet mango maple marble meadow
        melon milk mirror mole moon moss moth mouse mug mustard needle newt noodle nurse oak ocean office olive onion orange
        orchid otter oven owl paddle panda paper parrot pasta pebble pencil pepper piano pickle pig pillow pine pipe planet
        pocket pony potato purse puzzle quarry quilt rabbit raven reef ribbon rice river robin rock roof rope saddle salmon
        sand saw scarf school seal shelf shore silver sky snail snow sofa soup spade spider spoon squid star stone string sugar
        summer swan table temple tent thimble thorn thunder ticket tiger toad tomato tower train trout tulip tunnel turkey
        umbrella uncle valley vapour vase velvet village violin wagon walnut whistle willow wind wolf wool wren yard yellow
        zebra zip
        """.Split((char[])[' ', '\n', '\r'], StringSplitOptions.RemoveEmptyEntries);

    public static string Of(byte value) => Words[value];

    /// <summary>One word a byte, spaces between.</summary>
    public static string Of(ReadOnlySpan<byte> bytes)
    {
        var words = new string[bytes.Length];
        for (var i = 0; i < words.Length; i++)
            words[i] = Words[bytes[i]];
        return string.Join(' ', words);
    }
}
