package tlspolicy

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

const aState = `{"version":1,"domains":{"example.org":{
	"mta_sts":{"state":"none","checked":"2026-12-01T00:00:00Z","promise":{"by":"a","seen":"2026-11-30T00:00:00Z","seconds":604800}},
	"dane":{"state":"none","checked":"2026-12-01T00:00:00Z"}}}}`

func TestStateFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state.json")
	for name, tc := range map[string]struct {
		text string // "": there is no file
		want string // in the log; "": nothing
	}{
		"good":           {aState, ""},
		"more keys":      {strings.Replace(aState, `"version"`, `"more":[],"version"`, 1), ""},
		"none":           {"", ""},
		"empty":          {" ", "unexpected end"},
		"half of it":     {aState[:len(aState)/2], "unexpected end"},
		"binary":         {"\x00\x01", "invalid character"},
		"another":        {strings.Replace(aState, `"version":1`, `"version":2`, 1), "version 2, and 1 is known"},
		"a word":         {strings.Replace(aState, `"none"`, `"maybe"`, 1), `"example.org" cannot be`},
		"no word":        {`{"version":1,"domains":{"example.org":{}}}`, "cannot be"},
		"for ever":       {strings.Replace(aState, `604800`, `31557601`, 1), "cannot be"},
		"given for ever": {strings.Replace(aState, `604800`, `604800,"given":31557601`, 1), "cannot be"},
		"given before":   {strings.Replace(aState, `604800`, `604800,"given":-1`, 1), "cannot be"},
		"before it was":  {strings.Replace(aState, `604800`, `-1`, 1), "cannot be"},
		"another case":   {strings.Replace(aState, `"seconds"`, `"Seconds"`, 1), `the key "Seconds", which is spelled "seconds"`},
		"both cases":     {strings.Replace(aState, `"version":1`, `"version":1,"DOMAINS":{}`, 1), `the key "DOMAINS"`},
		"a key twice":    {strings.Replace(aState, `"version":1`, `"version":2,"version":1`, 1), `the key "version" twice`},
		"too much":       {aState + strings.Repeat(" ", maxFile), "more than 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			os.RemoveAll(path)
			if tc.text != "" {
				must(t, os.WriteFile(path, []byte(tc.text), 0o600))
			}
			log, lines := newLog()
			g := New(Options{Domains: []string{domainName}, State: path}, newResolver(), func() time.Time { return base }, log)
			entries := lines.AllEntries()
			if tc.want == "" {
				if len(entries) != 0 {
					t.Error(entries[0].String())
				}
			} else if len(entries) != 1 || !strings.Contains(fmt.Sprint(entries[0].Data["error"]), tc.want) {
				t.Errorf("%d lines; want %s", len(entries), tc.want)
			}
			known := tc.want == "" && tc.text != ""
			if d := g.Report().Domains[0]; (d.Commitment == Promised) != known || (d.Commitment == Assumed) == known || !g.Active() {
				t.Errorf("%+v", d)
			}
		})
	}
	for name, make := range map[string]func() error{
		"a directory": func() error { return os.Mkdir(path, 0o700) },
		"a pipe":      func() error { return syscall.Mkfifo(path, 0o600) },
	} {
		os.RemoveAll(path)
		must(t, make())
		log, lines := newLog()
		New(Options{Domains: []string{domainName}, State: path}, newResolver(), time.Now, log)
		if e := lines.LastEntry(); e == nil || !strings.Contains(fmt.Sprint(e.Data["error"]), "no regular file") {
			t.Errorf("%s: %v", name, e)
		}
	}
}

// A file of an older version does not say how long what it knows is remembered
// by those who get it after the last check.
func TestOlderStateFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	must(t, os.WriteFile(path, []byte(`{"version":1,"domains":{"example.org":{
		"mta_sts":{"state":"enforce","id":"a","checked":"2026-11-01T00:00:00Z","promise":{"by":"a","seen":"2026-11-01T00:00:00Z","seconds":86400}},
		"dane":{"state":"secured","checked":"2026-11-01T00:00:00Z","promise":{"by":"mail.example.org","seen":"2026-11-01T00:00:00Z","seconds":3600}}}}}`), 0o600))
	log, _ := newLog()
	g := New(Options{Domains: []string{domainName}, State: path}, newResolver(), func() time.Time { return base }, log)
	if d := g.Report().Domains[0]; d.Commitment != Promised || d.MTASTS.State != MTASTSEnforce || d.DANE.State != DANESecured {
		t.Errorf("%+v", d)
	}
	g.Check(t.Context()) // and nothing is there
	d := g.Report().Domains[0]
	if d.MTASTS.State != MTASTSNone || !d.MTASTS.Until.Equal(base.Add(8*day)) {
		t.Errorf("%+v", d)
	}
	if d.DANE.State != DANENone || d.DANE.Until.Before(base.Add(7*day)) {
		t.Errorf("%+v", d)
	}
}

func TestStateFileIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	log, lines := newLog()
	f := file{path: path, log: log}
	must(t, os.Symlink("/dev/full", filepath.Join(filepath.Dir(path), ".state.json42"))) // left by a daemon that was killed
	f.write([]byte("one"))
	first, err := os.Lstat(path)
	must(t, err)
	if first.Mode() != 0o600 {
		t.Errorf("the mode is %v", first.Mode())
	}
	f.write([]byte("one"))
	if again, err := os.Stat(path); err != nil || !os.SameFile(first, again) {
		t.Errorf("written without need: %v", err)
	}
	f.write([]byte("two"))
	if now, err := os.Stat(path); err != nil || os.SameFile(first, now) {
		t.Errorf("written in place: %v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "two" {
		t.Errorf("%q, %v", text, err)
	}
	if all, err := os.ReadDir(filepath.Dir(path)); err != nil || len(all) != 1 {
		t.Errorf("%v, %v", all, err)
	}
	if n := len(lines.AllEntries()); n != 0 {
		t.Errorf("%d lines", n)
	}
}

func TestStateFileCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "missing")
		log, lines := newLog()
		r := newResolver()
		g := New(Options{Domains: []string{domainName}, State: filepath.Join(dir, "state.json")}, r, time.Now, log)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { g.Run(ctx) })
		time.Sleep(3 * day)
		n := 0
		for _, e := range lines.AllEntries() {
			if strings.Contains(e.Message, "cannot be written") {
				n++
			}
		}
		if n != 1 || g.Active() || r.times(mx) < 24 {
			t.Errorf("logged %d times, asked %d times", n, r.times(mx))
		}
		must(t, os.Mkdir(dir, 0o700))
		time.Sleep(time.Hour)
		cancel()
		wg.Wait()
		if _, err := os.Stat(filepath.Join(dir, "state.json")); err != nil {
			t.Error(err)
		}
	})
}

// Who takes a domain out ends its promise, also for later.
func TestDomainTakenOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	run := func(domain string) Report {
		log, _ := newLog()
		g := New(Options{Domains: []string{domain}, State: path}, newResolver(), func() time.Time { return base }, log)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		g.Run(ctx)
		return g.Report()
	}
	must(t, os.WriteFile(path, []byte(aState), 0o600))
	if s := run(domainName); s.Domains[0].Commitment != Promised {
		t.Errorf("%+v", s)
	}
	run("other.example")
	if s := run(domainName); s.Domains[0].Commitment != Assumed {
		t.Errorf("%+v", s)
	}
}

// What the file could not hold again is not written.
func TestTooManyDomains(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	must(t, os.WriteFile(path, []byte("old"), 0o600))
	if err := replaceFile(path, make([]byte, maxFile+1)); err == nil || !strings.Contains(err.Error(), "name fewer domains") {
		t.Error(err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "old" {
		t.Errorf("%q, %v", text, err)
	}
	log, _ := newLog()
	g := New(Options{Domains: manyDomains(2000)}, newResolver(), func() time.Time { return base }, log)
	g.Check(t.Context())
	if n := len(g.remember()); n > maxFile {
		t.Errorf("2000 domains are %d bytes", n)
	}
}

func FuzzState(f *testing.F) {
	for _, s := range []string{aState, "", "{}", `{"version":1}`, `{"version":1,"domains":null}`, `{"version":1,"domains":{"a":{"mta_sts":{"state":"enforce"},"dane":{"state":"secured"}}}}`} {
		f.Add([]byte(s))
	}
	f.Add([]byte(strings.Replace(aState, `604800`, `604800,"given":86400`, 1)))
	log, _ := newLog()
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := decode(text)
		if err != nil {
			return
		}
		g := New(Options{Domains: []string{domainName}}, newResolver(), func() time.Time { return base }, log)
		for name, m := range s.Domains {
			d := g.all[0]
			d.savedDomain = m
			d.STS.recall(base)
			d.DANE.recall(base)
			if d.STS.Promise.until().After(base.Add(maxMaxAge*time.Second + dnsTime)) {
				t.Errorf("%q promises until %v", name, d.STS.Promise.until())
			}
			g.judge(base, true)
			if g.Report().Active != (d.commitment(base) != Free) {
				t.Errorf("%+v", g.Report())
			}
			kept := g.remember()
			again, err := decode(kept)
			if d.savedDomain = again.Domains[domainName]; err != nil || string(g.remember()) != string(kept) {
				t.Errorf("%s, %v; want %s", g.remember(), err, kept)
			}
		}
	})
}

// A state file that cannot be read, for a reason that is not its content, is not
// replaced by one that knows less.
func TestStateFileUnread(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	must(t, os.WriteFile(path, []byte(aState), 0o600))
	log, lines := newLog()
	f := file{path: path, log: log}
	var old syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old))
	must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 0, Max: old.Max}))
	got := f.read()
	must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old))
	if e := lines.LastEntry(); got != nil || e == nil || !strings.Contains(fmt.Sprint(e.Data["error"]), syscall.EMFILE.Error()) {
		t.Fatalf("read %v, and the log has %v", got, e)
	}
	f.write([]byte("{}"))
	if text, err := os.ReadFile(path); err != nil || string(text) != aState {
		t.Errorf("the file holds %q, %v", text, err)
	}
}
