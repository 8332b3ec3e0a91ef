package mtatest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ehlogate/lists/test/testenv"
)

// edit is one way in which a list changes.
type edit struct {
	name string
	// files are the patterns of the list, d/a.list by default; what they name holds 192.0.2.1 and 192.0.2.9 at first.
	files string
	// before and edit are commands of sh(1), run in the directory of the config. edit puts 192.0.2.2 in the list; A is the
	// new text. The time counts from its end.
	before, edit string
	// under runs ehlogate, for what is to happen to its system calls.
	under []string
	// lists are more lists, and during is done while the edit is made and until it is in force.
	lists  string
	during func(ctx context.Context, g *daemon) error
	// removes: the edit takes 192.0.2.1 out, and puts nothing in.
	removes bool
	unread  bool // the list is not loaded at first
}

const (
	oldList = "192.0.2.1\n192.0.2.9\n"
	newList = `'192.0.2.1\n192.0.2.2\n192.0.2.9\n'`
	// moved is the edit where it is not the edit that matters.
	moved = "printf A >d/new && sleep 0.05 && mv d/new d/a.list"
)

var edits = []edit{
	{name: "another file is moved over it", edit: moved},
	{name: "the same, in the tick of the clock in which it was written", edit: "mv d/new d/a.list", before: "printf A >d/new"},
	{name: "written in place", edit: "printf A >d/a.list"},
	{name: "a line is appended", edit: "echo 192.0.2.2 >>d/a.list"},
	{name: "sed -i", edit: "sed -i 's/^192.0.2.1$/&\\n192.0.2.2/' d/a.list"},
	{name: "cp", before: "printf A >new", edit: "cp new d/a.list"},
	{name: "cp -p of an older file", before: "printf A >new && touch -d '3 days ago' new", edit: "cp -p new d/a.list"},
	{name: "install", before: "printf A >new", edit: "install -m 644 new d/a.list"},
	{name: "as vi does, with a backup", edit: "mv d/a.list d/a.list~ && printf A >d/a.list"},
	{name: "written slowly, with pauses of 0.7 s", edit: "{ printf '192.0.2.9\\n'; sleep 0.7; printf '192.0.2.1\\n'; sleep 0.7; printf '192.0.2.2\\n'; } >d/a.list"},
	{name: "rm -rf d; cp -r new d", before: "mkdir new && printf A >new/a.list", edit: "rm -rf d && cp -r new d"},
	{name: "mv d old; mv new d", before: "mkdir new && printf A >new/a.list", edit: "mv d old && mv new d"},
	{name: "mv d x; edit; mv x d", edit: "mv d x && printf A >x/a.list && mv x d"},
	{name: "a symbolic link to it is replaced", files: "link", before: "ln -s d/a.list link && printf A >other", edit: "ln -s other next && mv -T next link"},
	{name: "a symbolic link to its directory is replaced", files: "link/a.list", before: "ln -s d link && mkdir new && printf A >new/a.list",
		edit: "ln -s new next && mv -T next link"},
	{name: "one directory by two paths", files: `d/a.list", "link/b.list`, before: "ln -s d link && echo '# b' >d/b.list", edit: "printf A >d/b.list"},
	{name: "through another hard link", before: "ln d/a.list other", edit: "printf A >other"},
	{name: "a hard link takes its place", before: "printf A >new", edit: "ln -f new d/a.list"},
	{name: "through a bind mount", before: "mkdir m && mount --bind d m", edit: "printf A >m/a.list; umount m"},
	{name: "a file appears in a directory", files: "d/*.list", edit: "echo 192.0.2.2 >d/b.list"},
	{name: "a directory with a file appears", files: "*/*.list", before: "mkdir -p new/x && echo 192.0.2.2 >new/x/b.list", edit: "mv new/x y"},
	{name: "a file appears in an empty directory", files: "*/*.list", before: "mkdir x", edit: "echo 192.0.2.2 >x/b.list"},
	{name: "a file is deleted from a directory", files: "d/*.list", before: "printf '192.0.2.9\\n' >d/a.list; echo 192.0.2.1 >d/b.list", edit: "rm d/b.list", removes: true},
	{name: "it could not be read for a second (EMFILE)", edit: moved, during: withoutFiles},
	{name: "it could not be read at the start (EIO)", before: "printf A >d/a.list; sleep 1", edit: "true", unread: true,
		under: []string{"strace", "-D", "-f", "-o", "/dev/null", "-e", "trace=read", "-P", "DIR/d/a.list", "-e", "inject=read:error=EIO:when=1..2"}},
	{name: "moved, while the file system of another list hangs", edit: moved, lists: another,
		under: []string{"strace", "-D", "-f", "-o", "/dev/null", "-e", "trace=openat", "-P", "DIR/other.list", "-e", "inject=openat:delay_enter=5000000"}},
	{name: "moved, while another list is appended to every 0.4 s", edit: moved, lists: another,
		during: shell("while sleep 0.4; do echo 198.51.100.1 >>other.list; done")},
	{name: "moved, while another program writes 3,000 files beside it", edit: moved,
		during: shell("while :; do for i in $(seq 3000); do echo >d/$i; done; done")},
}

const another = "[[list]]\nname = \"other\"\naction = \"suppress\"\nfiles = [\"other.list\"]\n"

// shell runs a script until ctx ends.
func shell(script string) func(context.Context, *daemon) error {
	return func(ctx context.Context, g *daemon) error {
		cmd := exec.CommandContext(ctx, "sh", "-c", script)
		cmd.Dir = g.dir
		if err := cmd.Run(); ctx.Err() == nil {
			return fmt.Errorf("%s: %w", script, err)
		}
		return nil
	}
}

// withoutFiles keeps the daemon from opening any file, from before the edit until a second later.
func withoutFiles(ctx context.Context, g *daemon) error {
	var old unix.Rlimit
	if err := unix.Prlimit(g.Pid(), unix.RLIMIT_NOFILE, nil, &old); err != nil {
		return err
	}
	if err := unix.Prlimit(g.Pid(), unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: old.Max}, nil); err != nil {
		return err
	}
	if _, err := g.Log.Await(ctx, tooManyFiles, 0); err != nil {
		return err
	}
	return unix.Prlimit(g.Pid(), unix.RLIMIT_NOFILE, &old, nil)
}

// TestEdits makes each edit while a client asks: it comes in force, and no answer is ever any but that before it or that
// after it.
func TestEdits(t *testing.T) {
	testenv.Needs(t, "root", "strace")
	t.Parallel()
	table := newEditTable(t)
	for _, e := range edits {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			table.add(e.name, e.playEdit(t))
		})
	}
}

func (e *edit) playEdit(t *testing.T) time.Duration {
	files := map[string]string{"d/a.list": oldList, "other.list": "# none\n"}
	patterns := "d/a.list"
	if e.files != "" {
		patterns = e.files
	}
	var lists strings.Builder
	fmt.Fprintf(&lists, "[[list]]\nname = \"edited\"\naction = \"suppress\"\nfiles = [\"%s\"]\n%s", patterns, e.lists)
	var g *daemon
	sh := func(script string) {
		t.Helper()
		cmd := exec.CommandContext(soon(t), "sh", "-ec", strings.ReplaceAll(script, "printf A", "printf "+newList))
		cmd.Dir = g.dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", script, err, out)
		}
	}
	// The files are as they are before the daemon starts: it must not take the preparation for the edit.
	prepare := []string{"sh", "-ec", "cd DIR; " + strings.ReplaceAll(e.before, "printf A", "printf "+newList) + "\nexec \"$@\"", "sh"}
	g = startDaemonUnder(t, append(prepare, e.under...), "edits", "", nil, lists.String(), files)
	q := newQuestion(t, g.memcache)
	if !e.unread && (!q.suppressed(t, "192.0.2.1") || q.suppressed(t, "192.0.2.2")) {
		t.Fatal("before the edit: got other answers than the list has, want those of the list")
	}
	ctx, cancel := context.WithCancel(soon(t))
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	if e.during != nil {
		wg.Go(func() {
			if err := e.during(ctx, g); err != nil {
				t.Error(err)
			}
		})
	}
	edited := make(chan time.Time, 1)
	wg.Go(func() { sh(e.edit); edited <- time.Now() })
	inForce := func() bool { return q.suppressed(t, "192.0.2.2") }
	if e.removes {
		inForce = func() bool { return !q.suppressed(t, "192.0.2.1") }
	}
	err := testenv.Await(ctx, func() (bool, error) {
		if inForce() {
			return true, nil
		}
		if !e.unread && !q.suppressed(t, "192.0.2.9") {
			return false, errors.New("192.0.2.9, which both states of the list hold, is offered STARTTLS")
		}
		return false, nil
	})
	if err != nil {
		t.Fatalf("waiting for the edit: %v\n%s", err, g.Log.Tail(30))
	}
	done := time.Now()
	return max(0, done.Sub(<-edited))
}

// question asks over one memcache connection.
type question struct {
	net.Conn
	*bufio.Reader
}

func newQuestion(t *testing.T, addr string) *question {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &question{c, bufio.NewReader(c)}
}

// suppressed asks about an address.
func (q *question) suppressed(t *testing.T, addr string) (yes bool) {
	t.Helper()
	if err := q.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(q, "get starttls:%s\r\n", addr); err != nil {
		t.Fatal(err)
	}
	for {
		line, err := q.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(line, "VALUE") {
			yes = true
		} else if strings.HasPrefix(line, "END") {
			return yes
		}
	}
}
