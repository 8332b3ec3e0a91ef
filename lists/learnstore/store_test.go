package learnstore

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"ehlogate/lists/test/testenv"
)

func openStore(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(path, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // it may be closed
	return s
}

// content returns all that a store has, by bucket and key.
func content(t testing.TB, s *Store, buckets ...string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := s.View(func(tx Tx) error {
		for _, name := range buckets {
			b, count := tx.Bucket(name), 0
			err := b.ForEach(func(k, v []byte) error {
				all[name+"/"+string(k)] = string(v)
				count++
				return nil
			})
			if err != nil {
				return err
			}
			if count != b.Count() {
				t.Errorf("bucket %s has %d keys, and says %d", name, count, b.Count())
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func put(t testing.TB, s *Store, bucket, key, value string) {
	t.Helper()
	if err := s.Update(func(tx Tx) error { return tx.Bucket(bucket).Put([]byte(key), []byte(value)) }); err != nil {
		t.Fatal(err)
	}
}

// A store does what one in memory does, and has it after it was closed and opened.
func TestStoreAsMemory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "learned.db")
	s, memory := openStore(t, path), NewMemory()
	random := rand.New(rand.NewPCG(1, 2))
	failed := errors.New("failed")
	for round := range 60 {
		fails := round%7 == 6
		change := func(tx Tx) error {
			random := rand.New(rand.NewPCG(3, uint64(round)))
			for range 200 {
				b, key := tx.Bucket(fmt.Sprint("b", random.IntN(3))), []byte(fmt.Sprint(random.IntN(300)))
				if random.IntN(3) == 0 {
					if err := b.Delete(key); err != nil {
						return err
					}
				} else if err := b.Put(key, []byte(strings.Repeat("x", random.IntN(400)))); err != nil {
					return err
				}
			}
			if fails {
				return failed
			}
			return nil
		}
		if err := s.Update(change); fails != (err == failed) {
			t.Fatal(err)
		}
		if !fails {
			if err := change(memory); err != nil {
				t.Fatal(err)
			}
		}
		if random.IntN(5) == 0 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if s = openStore(t, path); s.Status().Aside != "" {
				t.Fatal(s.Status())
			}
		}
		want := map[string]string{}
		for _, name := range []string{"b0", "b1", "b2"} {
			_ = memory.Bucket(name).ForEach(func(k, v []byte) error { want[name+"/"+string(k)] = string(v); return nil })
		}
		if got := content(t, s, "b0", "b1", "b2"); !maps.Equal(got, want) {
			t.Fatalf("round %d: %d records, want %d", round, len(got), len(want))
		}
	}
	err := s.View(func(tx Tx) error { return tx.Bucket("new").Put([]byte("a"), nil) })
	if !errors.Is(err, errReadOnly) {
		t.Errorf("a change within View: %v", err)
	}
	if err := s.View(func(tx Tx) error { _ = tx.Bucket("new").Get([]byte("a")); return tx.Bucket("new").Delete(nil) }); !errors.Is(err, errReadOnly) {
		t.Errorf("a change within View: %v", err)
	}
}

// What cannot be used is kept, under another name, and never read as something else.
func TestStoreAside(t *testing.T) {
	foreign := func(path string) error {
		db, err := bbolt.Open(path, 0o600, nil)
		if err != nil {
			return err
		}
		defer db.Close()
		return db.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("other")); return err })
	}
	newer := func(path string) error {
		s, err := Open(path, time.Now)
		if err != nil {
			return err
		}
		defer s.Close()
		return s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket([]byte(metaBucket)).Put([]byte(versionKey), []byte("2")) })
	}
	for name, c := range map[string]struct {
		make func(path string) error
		says string
	}{
		"text":      {func(path string) error { return os.WriteFile(path, []byte(strings.Repeat("text\n", 9999)), 0o600) }, "it is no database"},
		"one byte":  {func(path string) error { return os.WriteFile(path, []byte("x"), 0o600) }, "it is no database"},
		"foreign":   {foreign, "it is a database of another program"},
		"a version": {newer, `it has version "2", and this version of ehlogate reads version 1`},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "learned.db")
			if err := c.make(path); err != nil {
				t.Fatal(err)
			}
			old, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			s := openStore(t, path)
			st := s.Status()
			if st.Reason == nil || !strings.Contains(st.Reason.Error(), c.says) {
				t.Errorf("%v; want %s", st.Reason, c.says)
			}
			if kept, err := os.ReadFile(st.Aside); err != nil || string(kept) != string(old) {
				t.Errorf("the old file has %d bytes, %v; want %d", len(kept), err, len(old))
			}
			put(t, s, "b", "k", "v")
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = openStore(t, path)
			if got := content(t, s, "b"); s.Status().Aside != "" || !maps.Equal(got, map[string]string{"b/k": "v"}) {
				t.Errorf("%v, %v", s.Status(), got)
			}
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%v, %v", info.Mode(), err)
			}
		})
	}
}

// No more than the last three files are kept, and nothing else is removed.
func TestStoreAsideLimit(t *testing.T) {
	dir := t.TempDir()
	path, now := filepath.Join(dir, "[learned].db"), time.Now()
	other := filepath.Join(dir, "l.db.broken-1")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var aside []string
	for i := range 5 {
		now = now.Add(time.Second)
		if err := os.WriteFile(path, fmt.Appendln(nil, i), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path, func() time.Time { return now })
		if err != nil {
			t.Fatal(err)
		}
		aside = append(aside, s.Status().Aside)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range append(aside, other) {
		if _, err := os.Stat(name); (err == nil) != (i >= 2) {
			t.Errorf("file %d: %v", i, err)
		}
	}
}

// What is no regular file, and what cannot be opened, stays.
func TestStoreImpossible(t *testing.T) {
	dir := t.TempDir()
	for path, says := range map[string]string{dir: "not a regular file", "/dev/null": "not a regular file", filepath.Join(dir, "none/learned.db"): "no such file"} {
		if _, err := Open(path, time.Now); err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v; want %s", path, err, says)
		}
	}
}

// A symbolic link stays one.
func TestStoreLink(t *testing.T) {
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real.db"), filepath.Join(dir, "link.db")
	if err := os.WriteFile(real, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, link)
	put(t, s, "b", "k", "v")
	if to, err := os.Readlink(link); err != nil || to != real || !strings.HasPrefix(s.Status().Aside, real) {
		t.Errorf("%s, %v, %v", to, err, s.Status())
	}
}

// A transaction that changes nothing writes nothing.
func TestStoreUnchanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "learned.db")
	s := openStore(t, path)
	put(t, s, "b", "k", "v")
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Update(func(tx Tx) error {
		if b := tx.Bucket("b"); string(b.Get([]byte("k"))) != "v" || tx.Bucket("new").Count() != 0 || tx.(Changer).Changed() {
			t.Error("the content is wrong, or it changed")
		}
		return nil
	})
	after, read := os.ReadFile(path)
	if err != nil || read != nil || string(after) != string(before) {
		t.Errorf("the file changed, or %v, %v", err, read)
	}
}

// A file in use is left alone, by another process or by this one, and can be used after that.
func TestStoreLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "learned.db")
	s := openStore(t, path)
	put(t, s, "b", "k", "v")
	if _, err := Open(path, time.Now); !errors.Is(err, ErrLocked) {
		t.Errorf("%v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, path)
	if got := content(t, s, "b"); len(got) != 1 || s.Status().Aside != "" {
		t.Errorf("%v, %v", got, s.Status())
	}
}

// A file with more free pages than others gets smaller when it is opened, and keeps what it has.
func TestStoreCompacted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "learned.db")
	s := openStore(t, path)
	const many = 20_000
	change := func(f func(b Bucket, key []byte, i int) error) {
		t.Helper()
		err := s.Update(func(tx Tx) error {
			for i := range many {
				if err := f(tx.Bucket("b"), fmt.Append(nil, i), i); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	change(func(b Bucket, key []byte, i int) error { return b.Put(key, []byte(strings.Repeat("v", 200))) })
	change(func(b Bucket, key []byte, i int) error {
		if i%100 == 0 {
			return nil
		}
		return b.Delete(key)
	})
	before, err := s.Size()
	if err != nil {
		t.Fatal(err)
	}
	want := content(t, s, "b")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+compactSuffix, []byte("of a process that was killed"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, path)
	after, err := s.Size()
	if err != nil || after > before/10 || s.Status().Compacted != before-after {
		t.Errorf("%d bytes, then %d: %v, %v", before, after, s.Status(), err)
	}
	if got := content(t, s, "b"); !maps.Equal(got, want) || len(got) != many/100 {
		t.Errorf("%d records, want %d", len(got), len(want))
	}
	if _, err := Open(path, time.Now); !errors.Is(err, ErrLocked) {
		t.Errorf("it is not locked: %v", err)
	}
	put(t, s, "b", "k", "v")
	if _, err := os.Stat(path + compactSuffix); err == nil {
		t.Error("the draft is left")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s = openStore(t, path); s.Status().Compacted != 0 || len(content(t, s, "b")) != many/100+1 {
		t.Errorf("%+v", s.Status())
	}
}

// A file that is truncated while it is used is a fault of memory: the store is broken, and the process goes on.
func TestStoreFault(t *testing.T) {
	path := filepath.Join(t.TempDir(), "learned.db")
	s := openStore(t, path)
	for i := range 300 {
		put(t, s, "b", fmt.Sprint(i), strings.Repeat("v", 500))
	}
	if err := os.Truncate(path, 4096); err != nil {
		t.Fatal(err)
	}
	err := s.Update(func(tx Tx) error { return tx.Bucket("b").Put([]byte("1"), []byte("2")) })
	if !errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), path) {
		t.Fatal(err)
	}
	if err := s.View(func(Tx) error { return nil }); !errors.Is(err, ErrBroken) {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	s = openStore(t, path)
	if s.Status().Aside == "" || len(content(t, s, "b")) != 0 {
		t.Errorf("%+v", s.Status())
	}
}

// A panic within a transaction changes nothing.
func TestStorePanic(t *testing.T) {
	path := filepath.Join(t.TempDir(), "learned.db")
	s := openStore(t, path)
	put(t, s, "b", "k", "v")
	err := s.Update(func(tx Tx) error {
		_ = tx.Bucket("b").Put([]byte("k"), []byte("other"))
		panic("on purpose")
	})
	if !errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), "on purpose") || !strings.Contains(string(StackOf(err)), "TestStorePanic") {
		t.Errorf("%v\n%s", err, StackOf(err))
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	s = openStore(t, path)
	if got := content(t, s, "b"); s.Status().Aside != "" || got["b/k"] != "v" {
		t.Errorf("%v, %+v", got, s.Status())
	}
}

// On a full disk a transaction fails, what was there stays, and once there is space it goes on.
func TestStoreFullDisk(t *testing.T) {
	disk := testenv.SmallDisk(t, 3<<20)
	path := filepath.Join(disk, "learned.db")
	s := openStore(t, path)
	put(t, s, "b", "first", "v")
	filler := filepath.Join(disk, "filler")
	if err := os.WriteFile(filler, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	n, failures := 0, 0
	for ; failures < 20 && n < 10_000; n++ {
		err := s.Update(func(tx Tx) error { return tx.Bucket("b").Put(fmt.Append(nil, n), make([]byte, 20_000)) })
		if err == nil {
			continue
		}
		if failures++; errors.Is(err, ErrBroken) {
			t.Fatal(err)
		}
		n--
	}
	if failures < 20 {
		t.Fatal("the disk was not full")
	}
	want := content(t, s, "b")
	if len(want) != n+1 {
		t.Errorf("%d records, want %d", len(want), n+1)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	put(t, s, "b", "last", "v")
	want["b/last"] = "v"
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s = openStore(t, path); s.Status().Aside != "" || !maps.Equal(content(t, s, "b"), want) {
		t.Errorf("%+v", s.Status())
	}
}
