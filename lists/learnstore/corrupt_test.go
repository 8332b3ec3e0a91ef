package learnstore

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ehlogate/lists/test/testenv"
)

// makeFile returns the content of a file, and what the store in it had after its last transactions.
func makeFile(t testing.TB) (file []byte, states []map[string]string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "learned.db")
	s := openStore(t, path)
	for n := range 4 {
		err := s.Update(func(tx Tx) error {
			for i := range 120 {
				if err := tx.Bucket("large").Put(fmt.Appendf(nil, "%d-%d", i, n%2), []byte(strings.Repeat("v", 100+i+n))); err != nil {
					return err
				}
			}
			return tx.Bucket("small").Put([]byte("k"), fmt.Append(nil, n))
		})
		if err != nil {
			t.Fatal(err)
		}
		states = append(states, content(t, s, "large", "small"))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return file, states[len(states)-2:]
}

// checkDamaged opens a file, and checks that the store is empty, or has what it had after one of its last transactions, and
// that it works.
func checkDamaged(t *testing.T, path string, file []byte, states []map[string]string, what string) (aside bool) {
	t.Helper()
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path, time.Now)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	aside = s.Status().Aside != ""
	got := content(t, s, "large", "small")
	right := len(file) == 0 && len(got) == 0
	for _, state := range states {
		right = right || maps.Equal(got, state)
	}
	if aside && len(got) > 0 || !aside && !right {
		t.Errorf("%s: %d records, %+v", what, len(got), s.Status())
	}
	put(t, s, "large", "another", "v")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return aside
}

// TestStoreDamaged: whatever byte is wrong or missing, the store is empty, with the old file aside, or right.
func TestStoreDamaged(t *testing.T) {
	file, states := makeFile(t)
	path := filepath.Join(fastDir(t), "learned.db")
	if checkDamaged(t, path, file, states, "as it was") {
		t.Error("the file as it was cannot be used")
	}
	const pageSize = 4096
	aside, tests := 0, 0
	step := 1
	if testenv.Race { // which is about goroutines; there is one here
		step = 5 // an odd number: see flip below
	}
	damage := func(what string, change func(b []byte) []byte) {
		tests++
		if checkDamaged(t, path, change(append([]byte(nil), file...)), states, what) {
			aside++
		}
	}
	for size := 0; size < len(file); size += 509 {
		damage(fmt.Sprintf("truncated to %d bytes", size), func(b []byte) []byte { return b[:size] })
	}
	flip := func(at int, mask byte) {
		damage(fmt.Sprintf("byte %d ^ %#x", at, mask), func(b []byte) []byte { b[at] ^= mask; return b })
	}
	for page := 0; page < len(file); page += pageSize {
		for at := 0; at < 200; at += step { // headers and elements
			flip(page+at, []byte{1, 0x80}[at%2])
		}
		damage(fmt.Sprintf("page at %d zeroed", page), func(b []byte) []byte { clear(b[page : page+pageSize]); return b })
		damage(fmt.Sprintf("page at %d from another", page), func(b []byte) []byte {
			copy(b[page:page+pageSize], file[(page+pageSize)%len(file):])
			return b
		})
	}
	random := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		flip(random.IntN(len(file)), byte(1<<random.IntN(8)))
	}
	t.Logf("%d of %d files were set aside", aside, tests)
	if aside < tests/10 {
		t.Error("too few to tell anything")
	}
}

// A tree of pages that leads to itself would have bbolt end the process.
func TestStoreLoop(t *testing.T) {
	file, states := makeFile(t)
	path := filepath.Join(t.TempDir(), "learned.db")
	const pageSize = 4096
	found := 0
	for page := 2 * pageSize; page < len(file); page += pageSize {
		if order.Uint16(file[page+8:]) != branchPage {
			continue
		}
		found++
		looped := append([]byte(nil), file...)
		order.PutUint64(looped[page+pageHeader+8:], uint64(page/pageSize)) // its first element leads to itself
		checkDamaged(t, path, looped, states, "a loop")
	}
	if found == 0 {
		t.Error("the file has no branch")
	}
}

// FuzzOpen: no file has the store crash, or be unusable.
func FuzzOpen(f *testing.F) {
	file, _ := makeFile(f)
	f.Add(file)
	f.Add(file[:len(file)/2])
	f.Add([]byte("text"))
	path := filepath.Join(fastDir(f), "learned.db")
	f.Fuzz(func(t *testing.T, file []byte) {
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		put(t, s, "large", "another", "v")
	})
}

// fastDir returns a directory in memory, where a test has thousands of files written in turn.
func fastDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "learnstore")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
