package learnstore

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"ehlogate/lists/test/testenv"
)

// childVariable names the file that the test program writes to, as a child that is killed.
const childVariable = "LEARNSTORE_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(childVariable); path != "" {
		fmt.Fprintln(os.Stderr, writeForever(path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeForever makes one transaction after another, and prints the number of each once it is done.
func writeForever(path string) error {
	s, err := Open(path, time.Now)
	if err != nil {
		return err
	}
	if s.Status().Aside != "" {
		return s.Status().Reason
	}
	for {
		var n uint64
		err := s.Update(func(tx Tx) (err error) {
			n, err = changeNext(tx)
			return err
		})
		if err != nil {
			return err
		}
		fmt.Println(n)
	}
}

// changeNext makes the change that follows those that were made, and returns its number.
func changeNext(tx Tx) (uint64, error) {
	number, n := tx.Bucket("number"), uint64(1)
	if b := number.Get([]byte("n")); b != nil {
		n = binary.BigEndian.Uint64(b) + 1
	}
	random := rand.New(rand.NewPCG(n, 0))
	for range 1 + random.IntN(20) {
		b, key := tx.Bucket(fmt.Sprint("b", random.IntN(2))), fmt.Append(nil, random.IntN(500))
		var err error
		if random.IntN(4) == 0 {
			err = b.Delete(key)
		} else {
			err = b.Put(key, []byte(strings.Repeat("v", random.IntN(300))))
		}
		if err != nil {
			return n, err
		}
	}
	return n, number.Put([]byte("n"), binary.BigEndian.AppendUint64(nil, n))
}

// TestStoreKilled: a process that is killed at any time loses nothing that it acknowledged, and leaves no half transaction.
func TestStoreKilled(t *testing.T) {
	const rounds = 40
	path := filepath.Join(t.TempDir(), "learned.db")
	memory, done, seed := NewMemory(), uint64(0), uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for round := range rounds {
		acknowledged := killChild(t, path, time.Duration(random.Int64N(int64(40*time.Millisecond))))
		acknowledged = max(acknowledged, done)
		s := openStore(t, path)
		if s.Status().Aside != "" {
			t.Fatalf("round %d: %+v", round, s.Status())
		}
		var stored uint64
		err := s.View(func(tx Tx) error {
			if b := tx.Bucket("number").Get([]byte("n")); b != nil {
				stored = binary.BigEndian.Uint64(b)
			}
			return nil
		})
		if err != nil || stored < acknowledged || stored > acknowledged+1 {
			t.Fatalf("round %d: transaction %d is stored, and %d was acknowledged: %v", round, stored, acknowledged, err)
		}
		for done < stored {
			if done, err = changeNext(memory); err != nil {
				t.Fatal(err)
			}
		}
		want := map[string]string{}
		for _, name := range []string{"b0", "b1"} {
			_ = memory.Bucket(name).ForEach(func(k, v []byte) error { want[name+"/"+string(k)] = string(v); return nil })
		}
		if !maps.Equal(content(t, s, "b0", "b1"), want) {
			t.Fatalf("round %d: the content is not that of transaction %d", round, stored)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d transactions in %d lives", done, rounds)
	if done < rounds {
		t.Error("too few to tell anything")
	}
}

// killChild has a child write to a file, kills it some time after its first transaction, or while it opens the file, and
// returns the last number that it printed.
func killChild(t *testing.T, path string, after time.Duration) (last uint64) {
	t.Helper()
	cmd := testenv.Self()
	cmd.Env = append(os.Environ(), childVariable+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	first := after%4 != 0 && lines.Scan()
	time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	for ok := first || lines.Scan(); ok; ok = lines.Scan() {
		if last, err = strconv.ParseUint(lines.Text(), 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Fatal(err)
	}
	return last
}

// TestStoreProcesses: of two processes one has the file, and the other has it once the first is gone.
func TestStoreProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "learned.db")
	cmd := testenv.Self()
	cmd.Env = append(os.Environ(), childVariable+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("the child writes nothing")
	}
	go func() {
		for lines.Scan() { // so that the child goes on
		}
	}()
	if _, err := Open(path, time.Now); err == nil || !strings.Contains(err.Error(), ErrLocked.Error()) {
		t.Errorf("%v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	testenv.Eventually(t, "the file is free", func() bool {
		s, err := Open(path, time.Now)
		if err != nil {
			return false
		}
		defer s.Close()
		return s.Status().Aside == "" && len(content(t, s, "number")) == 1
	})
}
