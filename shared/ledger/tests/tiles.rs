//! Paths, widths and files of tiles: the check values of C2SP tlog-tiles and what must be refused.

use crypto::Digest;
use ledger::bundle::{self, BundleError, MAX_ENTRY_BYTES};
use ledger::edge::{EdgeError, RightEdge};
use ledger::hash::leaf_hash;
use ledger::tile::{TileError, TileKind, TilePath, changed, decode_hashes, encode_hashes};

fn path(text: &str) -> TilePath {
    text.parse().expect("a tile path")
}

#[test]
fn a_path_is_read_and_written_in_one_spelling() {
    let big = TilePath::new(TileKind::Hashes(63), u64::MAX, 255).unwrap();
    for (tile, text) in [
        (TilePath::new(TileKind::Hashes(0), 0, 256), "tile/0/000"),
        (TilePath::new(TileKind::Hashes(1), 999, 1), "tile/1/999.p/1"),
        (
            TilePath::new(TileKind::Entries, 1000, 256),
            "tile/entries/x001/000",
        ),
        (
            TilePath::new(TileKind::Hashes(2), 1_234_067, 255),
            "tile/2/x001/x234/067.p/255",
        ),
        (Ok(big), "tile/63/x018/x446/x744/x073/x709/x551/615.p/255"),
    ] {
        assert_eq!(tile.as_ref().map(ToString::to_string).unwrap(), text);
        assert_eq!(path(text), tile.unwrap());
    }
}

#[test]
fn another_spelling_is_refused() {
    for text in [
        "",
        "tile",
        "tile/0",
        "tile/0/",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/0/x000/001",
        "tile/0/001/067",
        "tile/0/x001/x067",
        "tile/0/x1/067",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/8/0/000/1",
        "tile/data/000",
        "tile/entries/000.p/0",
        "tile/entries/000.p/256",
        "tile/entries/000.p/01",
        "tile/entries/000.p/+1",
        "tile/entries/000.p/1/",
        "tile/entries/000.p",
        "/tile/0/000",
        "tile/0/000 ",
        "tile/0/x018/x446/x744/x073/x709/x551/616",
        "tile/0/../000",
        "tile/0/xx01/000",
    ] {
        assert!(
            matches!(text.parse::<TilePath>(), Err(TileError::Path(_))),
            "{text:?}"
        );
    }
    assert!("x".repeat(10_000).parse::<TilePath>().is_err());
}

#[test]
fn a_log_of_70000_entries_has_the_tiles_of_the_specification() {
    let tiles: Vec<TilePath> = changed(0, 70_000).collect();
    let of = |kind| {
        let (full, partial): (Vec<TilePath>, Vec<TilePath>) = tiles
            .iter()
            .filter(|t| t.kind() == kind)
            .partition(|t| t.is_full());
        let partial: Vec<String> = partial.iter().map(ToString::to_string).collect();
        (full.len(), partial)
    };
    assert_eq!(
        of(TileKind::Hashes(0)),
        (273, vec!["tile/0/273.p/112".into()])
    );
    assert_eq!(of(TileKind::Hashes(1)), (1, vec!["tile/1/001.p/17".into()]));
    assert_eq!(of(TileKind::Hashes(2)), (0, vec!["tile/2/000.p/1".into()]));
    assert_eq!(of(TileKind::Hashes(3)), (0, vec![]));
    assert_eq!(
        of(TileKind::Entries),
        (273, vec!["tile/entries/273.p/112".into()])
    );
}

#[test]
fn growth_changes_the_last_tile_of_a_level_and_those_after_it() {
    let names = |a, b| changed(a, b).map(|t| t.to_string()).collect::<Vec<_>>();
    assert_eq!(
        names(0, 256),
        ["tile/0/000", "tile/1/000.p/1", "tile/entries/000"]
    );
    assert_eq!(
        names(255, 257),
        [
            "tile/0/000",
            "tile/0/001.p/1",
            "tile/1/000.p/1",
            "tile/entries/000",
            "tile/entries/001.p/1"
        ]
    );
    assert_eq!(names(256, 258), ["tile/0/001.p/2", "tile/entries/001.p/2"]);
    assert!(names(256, 256).is_empty());
    assert!(names(256, 255).is_empty());
}

#[test]
fn a_small_log_is_one_partial_tile_whose_file_is_its_hashes() {
    let hashes: Vec<Digest> = (0..15_u8).map(|i| leaf_hash(&[i])).collect();
    let tiles = RightEdge::new().append(&hashes);
    assert_eq!(tiles.len(), 1);
    assert_eq!(tiles[0].path.to_string(), "tile/0/000.p/15");
    let file = encode_hashes(&tiles[0].hashes);
    assert_eq!(file.len(), 15 * 32);
    assert_eq!(decode_hashes(&tiles[0].path, &file).unwrap(), hashes);
    assert!(decode_hashes(&tiles[0].path, &file[1..]).is_err());
    assert!(decode_hashes(&path("tile/0/000.p/14"), &file).is_err());
}

#[test]
fn a_bundle_holds_exactly_its_entries() {
    let longest = vec![7; MAX_ENTRY_BYTES];
    let entries: [&[u8]; 3] = [b"", b"abc", &longest];
    let file = bundle::encode(&entries).unwrap();
    assert_eq!(&file[..7], [0, 0, 0, 3, b'a', b'b', b'c']);
    assert_eq!(bundle::decode(&file, 3).unwrap(), entries);
    assert_eq!(
        bundle::decode(&file, 4),
        Err(BundleError::Truncated {
            entry: 3,
            expected: 4
        })
    );
    assert!(matches!(
        bundle::decode(&file, 2),
        Err(BundleError::Trailing { .. })
    ));
    for end in 0..file.len().min(200) {
        assert!(bundle::decode(&file[..end], 3).is_err());
    }
    assert_eq!(
        bundle::encode(&[vec![0; MAX_ENTRY_BYTES + 1]]),
        Err(BundleError::EntryTooLong(MAX_ENTRY_BYTES + 1))
    );
}

#[test]
fn an_edge_without_its_tiles_is_refused() {
    let needed: Vec<String> = RightEdge::paths(70_000).map(|p| p.to_string()).collect();
    assert_eq!(
        needed,
        ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"]
    );
    assert!(matches!(
        RightEdge::from_tiles(70_000, |_| None),
        Err(EdgeError::Missing { size: 70_000, .. })
    ));
    assert!(RightEdge::from_tiles(3, |_| Some(vec![leaf_hash(b"one too few")])).is_err());
    assert_eq!(
        RightEdge::from_tiles(1 << 63, |_| None),
        Err(EdgeError::TooLarge(1 << 63))
    );
}
