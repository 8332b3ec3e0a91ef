package tlspolicy

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

const validState = `{"version":2,"domains":{"example.org":{
	"mta_sts":{"state":"none","checked":"2026-12-01T00:00:00Z","published":{"id":"a","seen":"2026-11-30T00:00:00Z","max_age":604800}},
	"dane":{"state":"none","checked":"2026-12-01T00:00:00Z"}}}}`

func TestStateFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state.json")
	for name, tc := range map[string]struct {
		text string // "": there is no file
		want string // of the error; "": there is none
	}{
		"good":           {validState, ""},
		"more keys":      {strings.Replace(validState, `"version"`, `"more":[],"version"`, 1), ""},
		"none":           {"", ""},
		"empty":          {" ", "unexpected end"},
		"half of it":     {validState[:len(validState)/2], "unexpected end"},
		"binary":         {"\x00\x01", "invalid character"},
		"another":        {strings.Replace(validState, `"version":2`, `"version":3`, 1), "unknown version 3: must be 2"},
		"a word":         {strings.Replace(validState, `"none"`, `"maybe"`, 1), `impossible state of "example.org"`},
		"no word":        {`{"version":2,"domains":{"example.org":{}}}`, "impossible state"},
		"for ever":       {strings.Replace(validState, `604800`, `31557601`, 1), "impossible state"},
		"given for ever": {strings.Replace(validState, `604800`, `604800,"current_max_age":31557601`, 1), "impossible state"},
		"given before":   {strings.Replace(validState, `604800`, `604800,"current_max_age":-1`, 1), "impossible state"},
		"before it was":  {strings.Replace(validState, `604800`, `-1`, 1), "impossible state"},
		"too much":       {validState + strings.Repeat(" ", maxFileSize), "larger than 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			os.RemoveAll(path)
			if tc.text != "" {
				mustSucceed(t, os.WriteFile(path, []byte(tc.text), 0o600))
			}
			lines := new(recorder)
			g := New(Options{Domains: []string{domainName}, State: path, Notify: lines.notify}, newResolver(), func() time.Time { return base })
			entries := lines.recorded()
			if tc.want == "" {
				if len(entries) != 0 {
					t.Error(describe(entries[0]))
				}
			} else if len(entries) != 1 || !strings.Contains(entries[0].Err.Error(), tc.want) {
				t.Errorf("got %d events %v, want %s", len(entries), entries, tc.want)
			}
			known := tc.want == "" && tc.text != ""
			if d := g.Report().Domains[0]; (d.Commitment == Confirmed) != known || (d.Commitment == Assumed) == known || !g.Active() {
				t.Errorf("%+v", d)
			}
		})
	}
	for name, make := range map[string]func() error{
		"a directory": func() error { return os.Mkdir(path, 0o700) },
		"a pipe":      func() error { return syscall.Mkfifo(path, 0o600) },
	} {
		os.RemoveAll(path)
		mustSucceed(t, make())
		lines := new(recorder)
		New(Options{Domains: []string{domainName}, State: path, Notify: lines.notify}, newResolver(), time.Now)
		if all := lines.recorded(); len(all) != 1 || all[0].Kind != FileInvalid || !strings.Contains(all[0].Err.Error(), "not a regular file") {
			t.Errorf("%s: %v", name, all)
		}
	}
}

// A file need not say how long senders cache what they get after the last check.
func TestStateFileWithoutCurrentMaxAge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	mustSucceed(t, os.WriteFile(path, []byte(`{"version":2,"domains":{"example.org":{
		"mta_sts":{"state":"enforce","id":"a","checked":"2026-11-01T00:00:00Z","published":{"id":"a","seen":"2026-11-01T00:00:00Z","max_age":86400}},
		"dane":{"state":"secure","checked":"2026-11-01T00:00:00Z","published":{"id":"mail.example.org","seen":"2026-11-01T00:00:00Z","max_age":3600}}}}}`), 0o600))
	g := New(Options{Domains: []string{domainName}, State: path}, newResolver(), func() time.Time { return base })
	if d := g.Report().Domains[0]; d.Commitment != Confirmed || d.MTASTS.State != Enforce || d.DANE.State != Secure {
		t.Errorf("%+v", d)
	}
	g.Check(t.Context()) // and nothing is there
	d := g.Report().Domains[0]
	if d.MTASTS.State != None || !d.MTASTS.Until.Equal(base.Add(8*day)) {
		t.Errorf("%+v", d)
	}
	if d.DANE.State != None || d.DANE.Until.Before(base.Add(7*day)) {
		t.Errorf("%+v", d)
	}
}

func TestStateFileIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	lines := new(recorder)
	f := stateFile{path: path, notify: lines.notify}
	one, two := map[string]savedDomain{"one.example": {}}, map[string]savedDomain{"two.example": {}}
	mustSucceed(t, os.Symlink("/dev/full", filepath.Join(filepath.Dir(path), ".state.json42"))) // left by a daemon that was killed
	f.writeState(one)
	first, err := os.Lstat(path)
	mustSucceed(t, err)
	if first.Mode() != 0o600 {
		t.Errorf("the mode is %v", first.Mode())
	}
	f.writeState(one)
	if again, err := os.Stat(path); err != nil || !os.SameFile(first, again) {
		t.Errorf("written without need: %v", err)
	}
	f.writeState(two)
	if now, err := os.Stat(path); err != nil || os.SameFile(first, now) {
		t.Errorf("written in place: %v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != string(formatState(two)) {
		t.Errorf("%q, %v", text, err)
	}
	if all, err := os.ReadDir(filepath.Dir(path)); err != nil || len(all) != 1 {
		t.Errorf("%v, %v", all, err)
	}
	if n := len(lines.recorded()); n != 0 {
		t.Errorf("%d events", n)
	}
}

func TestStateFileCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "missing")
		lines := new(recorder)
		r := newResolver()
		g := New(Options{Domains: []string{domainName}, State: filepath.Join(dir, "state.json"), Notify: lines.notify}, r, time.Now)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { g.Run(ctx) })
		time.Sleep(3 * day)
		n := 0
		for _, e := range lines.recorded() {
			if e.Kind == FileNotWritten {
				n++
			}
		}
		if n != 1 || g.Active() || r.times(mx) < 24 {
			t.Errorf("reported %d times, queried %d times", n, r.times(mx))
		}
		mustSucceed(t, os.Mkdir(dir, 0o700))
		time.Sleep(time.Hour)
		cancel()
		wg.Wait()
		if _, err := os.Stat(filepath.Join(dir, "state.json")); err != nil {
			t.Error(err)
		}
	})
}

// Taking a domain out ends its commitment, also for later.
func TestDomainTakenOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	run := func(domain string) Report {
		g := New(Options{Domains: []string{domain}, State: path}, newResolver(), func() time.Time { return base })
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		g.Run(ctx)
		return g.Report()
	}
	mustSucceed(t, os.WriteFile(path, []byte(validState), 0o600))
	if s := run(domainName); s.Domains[0].Commitment != Confirmed {
		t.Errorf("%+v", s)
	}
	run("other.example")
	if s := run(domainName); s.Domains[0].Commitment != Assumed {
		t.Errorf("%+v", s)
	}
}

// A state that would not be read again is not written.
func TestTooManyDomains(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	mustSucceed(t, os.WriteFile(path, []byte("old"), 0o600))
	if err := replaceFile(path, make([]byte, maxFileSize+1)); err == nil || !strings.Contains(err.Error(), "name fewer domains") {
		t.Error(err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "old" {
		t.Errorf("%q, %v", text, err)
	}
	g := New(Options{Domains: manyDomainNames(2000)}, newResolver(), func() time.Time { return base })
	g.Check(t.Context())
	if n := len(formatState(g.saved())); n > maxFileSize {
		t.Errorf("2000 domains are %d bytes", n)
	}
}

func FuzzState(f *testing.F) {
	for _, s := range []string{validState, "", "{}", `{"version":2}`, `{"version":2,"domains":null}`, `{"version":2,"domains":{"a":{"mta_sts":{"state":"enforce"},"dane":{"state":"secure"}}}}`} {
		f.Add([]byte(s))
	}
	f.Add([]byte(strings.Replace(validState, `604800`, `604800,"current_max_age":86400`, 1)))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := parseState(text)
		if err != nil {
			return
		}
		g := New(Options{Domains: []string{domainName}}, newResolver(), func() time.Time { return base })
		for name, m := range s.Domains {
			d := newDomain(domainName, m, base)
			g.domains[0] = d
			if d.mtasts.Published.endTime().After(base.Add(maxMaxAge*time.Second + dnsCacheTime)) {
				t.Errorf("%q is committed until %v", name, d.mtasts.Published.endTime())
			}
			g.updateActive(base, true)
			if g.Report().Active != (d.summarize(base).Commitment != NoCommitment) {
				t.Errorf("%+v", g.Report())
			}
			kept := formatState(g.saved())
			again, err := parseState(kept)
			if got := formatState(again.Domains); err != nil || string(got) != string(kept) {
				t.Errorf("got %s, %v, want %s", got, err, kept)
			}
		}
	})
}

// A state file that cannot be read, for a reason that is not its content, is not replaced.
func TestStateFileUnreadable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	mustSucceed(t, os.WriteFile(path, []byte(validState), 0o600))
	lines := new(recorder)
	f := stateFile{path: path, notify: lines.notify}
	var old syscall.Rlimit
	mustSucceed(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old))
	mustSucceed(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 0, Max: old.Max}))
	got := f.readState()
	mustSucceed(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old))
	if all := lines.recorded(); got != nil || len(all) != 1 || all[0].Kind != FileUnreadable || !errors.Is(all[0].Err, syscall.EMFILE) {
		t.Fatalf("read %v, and reported %v", got, all)
	}
	f.writeState(nil)
	if text, err := os.ReadFile(path); err != nil || string(text) != validState {
		t.Errorf("the file holds %q, %v", text, err)
	}
}
