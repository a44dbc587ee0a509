// Command sumdb checks a log of ours with code that shares nothing with it: Go's golang.org/x/mod/sumdb, as Debian packages
// it (golang-go, golang-golang-x-mod-dev). Go knows the tree, the signed note and tiles of height 8; the path layout, entry
// bundles, cosignatures and proof files of C2SP it does not, so those are written here from the specifications.
//
//	sumdb [-witness VKEY]... [-proofs FILE] VKEY DIR
//
// DIR holds checkpoint and tile/. Checked are the checkpoint's signature and text, each witness's cosignature, that Go finds
// the root in the tiles, that Go makes from them a valid inclusion proof of every entry in the bundles (so every hash of
// every tile counts: it is part of some entry's proof), and, with -proofs, the proofs that we made. Exit status 0 and one line of counts if all hold, 1 and the first failure if not, 2 for wrong usage.
//
// The proofs file is {"inclusion":[{"index","size","root","entry","proof":[…]}],
// "consistency":[{"old","old_root","new","new_root","proof":[…]}], "files":["<base64 of a .tlog-proof with extra>"]},
// all bytes in base64.
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type inclusion struct {
	Index int64            `json:"index"`
	Size  int64            `json:"size"`
	Root  tlog.Hash        `json:"root"`
	Entry []byte           `json:"entry"`
	Proof tlog.RecordProof `json:"proof"`
}

type consistency struct {
	Old     int64          `json:"old"`
	OldRoot tlog.Hash      `json:"old_root"`
	New     int64          `json:"new"`
	NewRoot tlog.Hash      `json:"new_root"`
	Proof   tlog.TreeProof `json:"proof"`
}

type proofs struct {
	Inclusion   []inclusion   `json:"inclusion"`
	Consistency []consistency `json:"consistency"`
	Files       [][]byte      `json:"files"`
}

type vkeys []string

func (v *vkeys) String() string     { return strings.Join(*v, " ") }
func (v *vkeys) Set(s string) error { *v = append(*v, s); return nil }

func main() {
	var witnesses vkeys
	flag.Var(&witnesses, "witness", "vkey of a witness that must have cosigned (type 0x04)")
	proofsFile := flag.String("proofs", "", "JSON file of proofs to check")
	flag.Parse()
	if flag.NArg() != 2 {
		fmt.Fprintln(os.Stderr, "usage: sumdb [-witness VKEY]... [-proofs FILE] VKEY DIR")
		os.Exit(2)
	}
	if err := run(flag.Arg(0), flag.Arg(1), witnesses, *proofsFile); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(vkey, dir string, witnesses []string, proofsFile string) error {
	signed, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if err != nil {
		return err
	}
	tree, err := openCheckpoint(signed, vkey)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	for _, w := range witnesses {
		if err := checkCosignature(signed, w); err != nil {
			return fmt.Errorf("cosignature of %s: %w", w, err)
		}
	}
	if err := checkTiles(dir, tree); err != nil {
		return err
	}
	var p proofs
	if proofsFile != "" {
		if p, err = readProofs(proofsFile); err != nil {
			return err
		}
	}
	if err := checkProofs(p, vkey); err != nil {
		return err
	}
	fmt.Printf("entries %d, cosignatures %d, inclusion %d, consistency %d, files %d: verified\n",
		tree.N, len(witnesses), len(p.Inclusion), len(p.Consistency), len(p.Files))
	return nil
}

// openCheckpoint verifies the note with Go's code and reads the tree head (tlog-checkpoint).
func openCheckpoint(signed []byte, vkey string) (tlog.Tree, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return tlog.Tree{}, err
	}
	n, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return tlog.Tree{}, errors.New("not three lines")
	}
	if lines[0] != verifier.Name() {
		return tlog.Tree{}, errors.New("origin is not the key's name")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return tlog.Tree{}, errors.New("bad size")
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

// checkCosignature follows tlog-cosignature, "Ed25519 signed message".
func checkCosignature(signed []byte, vkey string) error {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) != 3 {
		return errors.New("not a vkey")
	}
	key, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(key) != 33 || key[0] != 4 {
		return errors.New("not a cosignature key")
	}
	sum := sha256.Sum256(append([]byte(parts[0]+"\n"), key...))
	split := bytes.LastIndex(signed, []byte("\n\n"))
	for _, line := range strings.Split(string(signed[split+2:]), "\n") {
		prefix := "\u2014 " + parts[0] + " "
		if !strings.HasPrefix(line, prefix) {
			continue
		}
		sig, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(line, prefix))
		if err != nil || len(sig) != 4+8+64 || !bytes.Equal(sig[:4], sum[:4]) {
			continue
		}
		msg := fmt.Sprintf("cosignature/v1\ntime %d\n%s", binary.BigEndian.Uint64(sig[4:12]), signed[:split+1])
		if !ed25519.Verify(ed25519.PublicKey(key[1:]), []byte(msg), sig[12:]) {
			return errors.New("does not verify")
		}
		return nil
	}
	return errors.New("not there")
}

// tileDir gives Go the tiles of a directory in the layout of tlog-tiles.
type tileDir struct{ dir string }

func (d tileDir) Height() int { return 8 }

func (d tileDir) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, t := range tiles {
		// Go's layout has the height as a folder, C2SP's has not.
		path := "tile/" + strings.TrimPrefix(t.Path(), "tile/8/")
		data, err := os.ReadFile(filepath.Join(d.dir, path))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

func (d tileDir) SaveTiles([]tlog.Tile, [][]byte) {}

func checkTiles(dir string, tree tlog.Tree) error {
	if tree.N == 0 {
		if tree.Hash != tlog.Hash(sha256.Sum256(nil)) {
			return errors.New("empty log with another root")
		}
		return nil
	}
	reader := tlog.TileHashReader(tree, tileDir{dir})
	root, err := tlog.TreeHash(tree.N, reader)
	if err != nil || root != tree.Hash {
		return fmt.Errorf("tiles do not give the root: %v", err)
	}
	for first := int64(0); first < tree.N; first += 256 {
		entries, err := readBundle(dir, first/256, tree.N-first)
		if err != nil {
			return err
		}
		for i, entry := range entries {
			index := first + int64(i)
			proof, err := tlog.ProveRecord(tree.N, index, reader)
			if err != nil {
				return fmt.Errorf("entry %d: %w", index, err)
			}
			if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry)); err != nil {
				return fmt.Errorf("entry %d: %w", index, err)
			}
		}
	}
	return nil
}

// readBundle reads an entry bundle (tlog-tiles, "Log entries") that has `left` entries or 256.
func readBundle(dir string, n, left int64) ([][]byte, error) {
	width := 256
	if left < 256 {
		width = int(left)
	}
	path := tlog.Tile{H: 8, L: 0, N: n, W: width}.Path()
	data, err := os.ReadFile(filepath.Join(dir, "tile/entries", strings.TrimPrefix(path, "tile/8/0/")))
	if err != nil {
		return nil, err
	}
	var entries [][]byte
	for len(data) >= 2 {
		size := int(binary.BigEndian.Uint16(data))
		if len(data) < 2+size {
			break
		}
		entries = append(entries, data[2:2+size])
		data = data[2+size:]
	}
	if len(data) != 0 || len(entries) != width {
		return nil, fmt.Errorf("bundle %d has %d entries and %d bytes after them", n, len(entries), len(data))
	}
	return entries, nil
}

func readProofs(file string) (p proofs, err error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return p, err
	}
	return p, json.Unmarshal(data, &p)
}

func checkProofs(p proofs, vkey string) error {
	for _, i := range p.Inclusion {
		if err := tlog.CheckRecord(i.Proof, i.Size, i.Root, i.Index, tlog.RecordHash(i.Entry)); err != nil {
			return fmt.Errorf("inclusion of %d in %d: %w", i.Index, i.Size, err)
		}
	}
	for _, c := range p.Consistency {
		if err := tlog.CheckTree(c.Proof, c.New, c.NewRoot, c.Old, c.OldRoot); err != nil {
			return fmt.Errorf("consistency of %d with %d: %w", c.New, c.Old, err)
		}
	}
	for n, file := range p.Files {
		if err := checkProofFile(string(file), vkey); err != nil {
			return fmt.Errorf("proof file %d: %w", n, err)
		}
	}
	return nil
}

// checkProofFile follows tlog-proof; extra is the entry.
func checkProofFile(file, vkey string) error {
	head, checkpoint, found := strings.Cut(file, "\n\n")
	lines := strings.Split(head, "\n")
	if !found || len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" ||
		!strings.HasPrefix(lines[1], "extra ") || !strings.HasPrefix(lines[2], "index ") {
		return errors.New("not a proof with extra")
	}
	entry, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[1], "extra "))
	if err != nil {
		return err
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64)
	if err != nil {
		return err
	}
	var proof tlog.RecordProof
	for _, line := range lines[3:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return err
		}
		proof = append(proof, hash)
	}
	tree, err := openCheckpoint([]byte(checkpoint), vkey)
	if err != nil {
		return err
	}
	return tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry))
}
