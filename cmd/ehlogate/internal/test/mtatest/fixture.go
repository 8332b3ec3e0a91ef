package mtatest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/netns"
	"ehlogate/lists/test/testenv"
)

// programs are the daemons that this process built, by how.
var programs struct {
	sync.Mutex
	dir  string
	path map[string]string
}

// Program returns the path of an ehlogate, which is built once, with the race detector if that is wanted, and with build
// tags. TestMain calls RemovePrograms at the end.
func Program(race bool, tags ...string) (string, error) {
	programs.Lock()
	defer programs.Unlock()
	how := fmt.Sprintf("race-%v-%s", race, strings.Join(tags, "-"))
	if path := programs.path[how]; path != "" {
		return path, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute) // a compiler has time on a busy machine
	defer cancel()
	var err error
	if programs.dir == "" {
		if programs.dir, err = TempDir(); err != nil {
			return "", err
		}
		programs.path = map[string]string{}
	}
	dir := filepath.Join(programs.dir, how)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	programs.path[how], err = Build(ctx, dir, race, tags...)
	return programs.path[how], err
}

// RemovePrograms deletes the programs that Program built.
func RemovePrograms() {
	programs.Lock()
	defer programs.Unlock()
	if programs.dir != "" {
		os.RemoveAll(programs.dir)
	}
	programs.dir, programs.path = "", nil
}

// Fixture is an ehlogate for one test: the one way in which tests run the daemon, by NewFixture, or by Holder as a service
// manager does.
type Fixture struct {
	Dir    string            // of the configuration and the lists; it must exist
	Config string            // the text of ehlogate.toml
	Files  map[string]string // more files in Dir, such as lists
	Race   bool              // with the race detector
	// Command, if set, is a command that runs ehlogate; DIR in it stands for Dir.
	Command []string
	Ready   Ready  // when the daemon serves
	LogDir  string // where the log is; by default in Dir, which ehlogate watches if its lists are there

	Network *netns.Namespace // where the daemon runs; nil: where we are
}

// NewFixture writes the files and describes the daemon; it is not started. It lives as long as the test, at whose end it must
// stop well and its log must show neither a panic nor a data race.
func NewFixture(t testing.TB, f Fixture) *Daemon {
	t.Helper()
	path, err := Program(f.Race)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteFiles(t)
	words := append(append([]string(nil), f.Command...), path, "serve", "-c", filepath.Join(f.Dir, "ehlogate.toml"))
	for i := range f.Command {
		words[i] = strings.ReplaceAll(words[i], "DIR", f.Dir)
	}
	if f.LogDir == "" {
		f.LogDir = f.Dir
	}
	d := NewDaemon(f.LogDir, "log", words[0], f.Ready, words[1:]...)
	d.Network = f.Network
	t.Cleanup(func() { d.Finish(t) })
	return d
}

// StartFixture is NewFixture, started.
func StartFixture(t testing.TB, f Fixture) *Daemon {
	t.Helper()
	d := NewFixture(t, f)
	ctx, cancel := context.WithTimeout(context.Background(), testenv.Soon)
	defer cancel()
	if err := d.Start(ctx); err != nil {
		t.Fatal(err)
	}
	return d
}

// WriteFiles writes the configuration and the other files.
func (f Fixture) WriteFiles(t testing.TB) {
	t.Helper()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(f.Dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("ehlogate.toml", f.Config)
	for name, text := range f.Files {
		write(name, text)
	}
}

// Finish ends the daemon, which must go well, and looks for what no log may contain.
func (d *Daemon) Finish(t testing.TB) {
	t.Helper()
	if d.Running() {
		ctx, cancel := context.WithTimeout(context.Background(), testenv.Soon)
		defer cancel()
		if code, err := d.Term(ctx); err != nil || code != 0 {
			t.Errorf("ending ehlogate: got exit code %d, %v; want 0", code, err)
		}
	}
	if bad, err := d.Log.Lines(regexp.MustCompile("panic|DATA RACE|goroutine "), 0); err != nil || len(bad) > 0 {
		t.Errorf("the log of ehlogate: got %q, %v; want no such line", bad, err)
	}
	if t.Failed() {
		t.Log(d.Log.Tail(60))
	}
}
