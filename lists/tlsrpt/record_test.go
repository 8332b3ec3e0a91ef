package tlsrpt

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var recordedAt = time.Date(2026, 11, 28, 6, 0, 0, 0, time.UTC)

func newFinding(n int) Finding {
	return Finding{Address: netip.AddrFrom4([4]byte{192, 0, byte(n >> 8), byte(n)}), List: "deny", Entry: "192.0.2.0/24", File: "/etc/ehlogate/lists/deny.list", Line: 14, Sessions: 200,
		Organization: "sender.example", Domain: "example.org", ReportID: fmt.Sprint(n), Start: recordedAt.AddDate(0, 0, -1), End: recordedAt}
}

// mustRead returns the findings of a file.
func mustRead(t testing.TB, path string, now time.Time) []Finding {
	t.Helper()
	all, err := Recorded(path, now)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestRecord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tlsrpt.json")
	if all := mustRead(t, path, recordedAt); all != nil {
		t.Errorf("no file has %v", all)
	}
	for _, again := range []time.Duration{0, 24 * time.Hour} { // the second time it is the same report
		if err := Record(path, recordedAt.Add(again), []Finding{newFinding(1), newFinding(2)}); err != nil {
			t.Fatal(err)
		}
	}
	want := newFinding(1)
	want.Time = recordedAt
	if all := mustRead(t, path, recordedAt.Add(24*time.Hour)); len(all) != 2 || all[0] != want {
		t.Errorf("got %+v", all)
	}
	if all := mustRead(t, path, recordedAt.Add(Keep-time.Second)); len(all) != 2 {
		t.Errorf("before its end: %+v", all)
	}
	for _, now := range []time.Time{recordedAt.Add(Keep), recordedAt.Add(-time.Hour)} { // too old; the clock was set back
		if all := mustRead(t, path, now); len(all) != 0 {
			t.Errorf("at %v: %+v", now, all)
		}
	}
	if err := Record(path, recordedAt.Add(Keep), []Finding{newFinding(3)}); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err != nil || strings.Count(string(text), "report_id") != 1 {
		t.Errorf("%v: %s", err, text)
	}
}

func TestRecordBounds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tlsrpt.json")
	var many []Finding
	for i := range maxFindings + 10 {
		f := newFinding(i)
		f.ReportID, f.Entry = strings.Repeat("r", maxString), strings.Repeat("e", 300)
		many = append(many, f)
	}
	if err := Record(path, recordedAt, many); err != nil {
		t.Fatal(err)
	}
	if all := mustRead(t, path, recordedAt); len(all) != maxFindings || all[0].Address != newFinding(10).Address {
		t.Errorf("%d findings", len(all))
	}
}

// TestRecordAtOnce lets many record at the same time: no finding is lost.
func TestRecordAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tlsrpt.json")
	var running sync.WaitGroup
	for i := range 20 {
		running.Go(func() {
			if err := Record(path, recordedAt, []Finding{newFinding(i)}); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	if all := mustRead(t, path, recordedAt); len(all) != 20 {
		t.Errorf("%d of 20 findings", len(all))
	}
}

// TestRecordDamaged replaces what has no meaning, and keeps what another version wrote.
func TestRecordDamaged(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "tlsrpt.json")
	for _, text := range []string{"", "{", `{"version":1,"findings":[{}]}`, "\x00\x00"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Recorded(path, recordedAt); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: got %v", text, err)
		}
		if err := Record(path, recordedAt, []Finding{newFinding(1)}); err != nil || len(mustRead(t, path, recordedAt)) != 1 {
			t.Errorf("%q: %v", text, err)
		}
	}
	const newer = `{"version":2,"findings":[]}`
	if err := os.WriteFile(path, []byte(newer), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Record(path, recordedAt, []Finding{newFinding(1)}); err == nil || !strings.Contains(err.Error(), "unknown version 2") {
		t.Errorf("newer version: %v", err)
	}
	if text, _ := os.ReadFile(path); string(text) != newer {
		t.Errorf("the file of a newer version became %s", text)
	}
	if err := Record(filepath.Join(dir, "missing", "x"), recordedAt, nil); err == nil {
		t.Error("no directory is no error")
	}
	if err := os.Symlink(path, filepath.Join(dir, "other.lock")); err != nil {
		t.Fatal(err)
	}
	if err := Record(filepath.Join(dir, "other"), recordedAt, nil); err == nil {
		t.Error("a lock that is a symbolic link was followed")
	}
}

// TestRecordOwner lets the daemon read what root recorded.
func TestRecordOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		return
	}
	dir := t.TempDir()
	if err := os.Chown(dir, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "tlsrpt.json")
	if err := Record(path, recordedAt, []Finding{newFinding(1)}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, path + ".lock"} {
		info, err := os.Stat(name)
		if err != nil || info.Sys().(*syscall.Stat_t).Uid != 65534 || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

func FuzzRecord(f *testing.F) {
	one := newFinding(1)
	one.Time = recordedAt
	text, err := json.Marshal(savedRecord{recordVersion, []Finding{one}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"version":1,"findings":[{"address":"","sessions":-1}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := parseRecord(text)
		if err != nil {
			return
		}
		for _, f := range s.Findings {
			if !f.Address.IsValid() || f.Sessions < 0 {
				t.Fatalf("impossible finding %+v", f)
			}
		}
		if len(s.Findings) > maxFindings {
			t.Fatal("too many")
		}
	})
}
