package benchmarks

import (
	"bufio"
	"bytes"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// postmap asks Postfix's tables, in a process of its own, which reads a cidr: table as a whole before it answers the first
// question.
type postmap struct{ dir string }

func newPostmap(t testing.TB) postmap {
	t.Helper()
	p := postmap{tempDir(t)}
	write(t, filepath.Join(p.dir, "main.cf"), "compatibility_level = 3.6\n")
	p.ageConfig(t)
	return p
}

// ageConfig makes main.cf look old: Postfix reads it again and again until it is two seconds old.
func (p postmap) ageConfig(t testing.TB) {
	t.Helper()
	path, old := filepath.Join(p.dir, "main.cf"), time.Now().Add(-time.Minute)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
}

// table makes a table that holds some addresses.
func (p postmap) table(t testing.TB, name string, addrs string) (table string) {
	t.Helper()
	path := filepath.Join(p.dir, name)
	write(t, path, strings.ReplaceAll(addrs, "\n", " starttls\n"))
	return "cidr:" + path
}

func (p postmap) command(table string) *exec.Cmd {
	return exec.Command("/usr/sbin/postmap", "-c", p.dir, "-q", "-", table)
}

// queryMap asks about addresses, and gives the seconds that it took and how many
// of them are held.
func (p postmap) queryMap(t testing.TB, table string, qs []netip.Addr) (seconds float64, held int) {
	t.Helper()
	var in, out, errs bytes.Buffer
	for _, a := range qs {
		in.WriteString(a.String() + "\n")
	}
	cmd := p.command(table)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = &in, &out, &errs
	begun := time.Now()
	err := cmd.Run()
	took := time.Since(begun).Seconds()
	held = bytes.Count(out.Bytes(), []byte("\n"))
	// It fails where nothing is found.
	if errs.Len() > 0 || err != nil && held > 0 {
		t.Fatalf("%v: %v\n%s", cmd, err, errs.Bytes())
	}
	return took, held
}

// memory is the resident set of one that has read a table, and waits for the
// next question. held is in the table.
func (p postmap) memory(t testing.TB, table string, held netip.Addr) float64 {
	t.Helper()
	cmd := p.command(table)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}()
	// Answers come when they fill its buffer.
	const enough = 1000
	if _, err := in.Write(bytes.Repeat([]byte(held.String()+"\n"), enough)); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != held.String()+"\tstarttls\n" {
		t.Fatalf("asked for %v: %q, %v", held, line, err)
	}
	now, _ := residentSet(t, cmd.Process.Pid)
	return now
}
