package mtatest_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// TestEditFaults edits lists in ways by which an answer could come from a state that was never on disk, or an edit could
// get lost. All of them allow odd addresses, each a third of those that the clients here have; the default suppresses. So
// no odd client may ever miss STARTTLS, whatever is done.
func TestEditFaults(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	playBesideOthers(t)
	table := newFaultTable(t, "What is done to several lists at once")
	config := "default = \"suppress\"\nguard.off = true\n"
	for _, name := range []string{"one.list", "two.list", "place.list", "d/*.list"} {
		config += fmt.Sprintf("[[list]]\nname = %q\naction = \"offer\"\nfiles = [%q]\n", name[:1], name)
	}
	r := newEnv(t, table, config, map[string]string{"one.list": third(1), "two.list": "# none\n", "place.list": third(3), "d/d.list": third(5)}, func(h *mtatest.Holder) {
		h.User = 0 // that of the test, or it might not change its limits
	})
	for _, f := range []fault{
		{name: "clients move between two lists, one of a million", do: moveBetween},
		{name: "a list is written in place, slowly, while another loads", do: writeDuringLoad},
		{name: "a list's directory is removed and copied back", do: replaceDirectory},
		{name: "no file can be opened for half a second around an edit", do: editWithoutFiles},
		{name: "the file system of a list hangs (strace)", do: hangList},
	} {
		f.through, f.every = held, 1000
		r.playFault(t, f)
	}
}

// third is a list of a third of the odd addresses that the clients have.
func third(of int) string {
	var b strings.Builder
	b.WriteString("# a third\n")
	for i := 10; i < 210; i++ {
		if i%6 == of {
			fmt.Fprintf(&b, "127.0.0.%d\n", i)
		}
	}
	return b.String()
}

// moveBetween moves the clients of one list to another that takes long to read, and back; into a list before out of the
// other.
func moveBetween(ctx context.Context, r *env) error {
	for _, step := range []struct{ name, text string }{
		{"two.list", third(1) + manyEntries(1)}, {"one.list", "# none\n"},
		{"one.list", third(1)}, {"two.list", "# none\n"},
	} {
		loaded, err := r.loaded(step.name[:1])
		if err != nil {
			return err
		}
		if err := r.write(step.name, step.text); err != nil {
			return err
		}
		if step.text == third(1)+manyEntries(1) || step.text == third(1) {
			continue // what comes next is to be done while this is not in force yet
		}
		if err := r.awaitMetric(ctx, loadedMetric(step.name[:1]), loaded); err != nil {
			return err
		}
	}
	return nil
}

func loadedMetric(list string) string {
	return fmt.Sprintf("ehlogate_list_loaded_timestamp_seconds{list=%q}", list)
}

func (r *env) loaded(list string) (float64, error) { return r.metric(loadedMetric(list)) }

// writeDuringLoad writes a list with a pause in the middle that a careless reader would take for the end.
func writeDuringLoad(ctx context.Context, r *env) error {
	loaded, err := r.loaded("p")
	if err != nil {
		return err
	}
	if err := r.write("two.list", manyEntries(2)); err != nil {
		return err
	}
	text := third(3)
	f, err := os.OpenFile(filepath.Join(r.dir, "place.list"), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	half := strings.Index(text[len(text)/2:], "\n") + len(text)/2 + 1
	for _, part := range []string{text[:half], text[half:]} {
		if _, err := f.WriteString(part); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(700 * time.Millisecond): // the pause of the writer
		}
	}
	return r.awaitMetric(ctx, loadedMetric("p"), loaded)
}

// replaceDirectory does what gives a directory the inode again that it had, on ext4.
func replaceDirectory(ctx context.Context, r *env) error {
	loaded, err := r.loaded("d")
	if err != nil {
		return err
	}
	if err := r.write("new/d.list", third(5)); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "sh", "-ec", "rm -rf d; cp -r new d")
	cmd.Dir = r.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return r.awaitMetric(ctx, loadedMetric("d"), loaded)
}

// editWithoutFiles edits a list while ehlogate cannot open it. The edit must not be lost.
func editWithoutFiles(ctx context.Context, r *env) error {
	loaded, err := r.loaded("o")
	if err != nil {
		return err
	}
	pid := r.Pid()
	var old unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &old); err != nil {
		return err
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: old.Max}, nil); err != nil {
		return err
	}
	err = r.write("one.list", third(1)+"192.0.2.1\n")
	select {
	case <-ctx.Done():
	case <-time.After(500 * time.Millisecond): // less than the second for which Postfix waits for a new connection
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &old, nil); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	return r.awaitMetric(ctx, loadedMetric("o"), loaded)
}

// hangList lets every open of one list hang, edits it, and edits and reloads others: those must be in force.
func hangList(ctx context.Context, r *env) error {
	tracer := exec.CommandContext(ctx, "strace", "-f", "-o", "/dev/null", "-e", "trace=openat", "-P", filepath.Join(r.dir, "place.list"),
		"-e", "inject=openat:delay_enter=3000000", "-p", fmt.Sprint(r.Pid()))
	if err := tracer.Start(); err != nil {
		return err
	}
	defer func() {
		_ = tracer.Process.Signal(syscall.SIGINT) // it lets go of the process, and ends
		_ = tracer.Wait()
	}()
	if err := r.write("place.list", third(3)+"192.0.2.1\n"); err != nil {
		return err
	}
	if err := r.awaitHung(ctx); err != nil {
		return err
	}
	loaded, err := r.loaded("o")
	if err != nil {
		return err
	}
	if err := r.write("one.list", third(1)+"192.0.2.2\n"); err != nil {
		return err
	}
	if err := r.awaitMetric(ctx, loadedMetric("o"), loaded); err != nil {
		return err
	}
	reloaded := r.CountStates("READY=1")
	if err := r.Signal(syscall.SIGHUP); err != nil {
		return err
	}
	return r.AwaitReady(ctx, reloaded+1)
}

// awaitHung waits until it is known that a file system hangs.
func (r *env) awaitHung(ctx context.Context) error {
	return r.awaitMetric(ctx, `ehlogate_list_reload_failures_total{list="p"}`, 0)
}
