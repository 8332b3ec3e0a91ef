package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/state"
	"ehlogate/lists"
	"ehlogate/lists/test/testenv"
)

// randomTable returns a table of EHLO keywords for clients with nested networks.
func randomTable(r *rand.Rand, isCIDR bool) string {
	var b strings.Builder
	if r.IntN(8) == 0 {
		b.WriteString("\ufeff192.0.0.0/16 dsn\n10.0.0.1 dsn\n") // the first line is invalid
	}
	words := []string{"starttls", "dsn", "Chunking", "AUTH", "silent-discard", "burl", "etrn"}
	hasBlocks, depth := r.IntN(2) == 0, 0
	for range 1 + r.IntN(25) {
		a := randomClient(r)
		key := a.String()
		if isCIDR && r.IntN(3) > 0 {
			bits := a.BitLen() - r.IntN(12)
			if r.IntN(6) == 0 {
				bits = r.IntN(20)
			}
			p, _ := a.Prefix(bits)
			key = p.String()
		}
		var result []string
		for range 1 + r.IntN(3) {
			result = append(result, words[r.IntN(len(words))])
		}
		if r.IntN(8) == 0 {
			b.WriteString("# a comment\n\n")
		}
		if hasBlocks && isCIDR {
			switch p, _ := a.Prefix(a.BitLen() - r.IntN(12)); r.IntN(6) {
			case 0:
				key = []string{"!", "! ", "!!\t! "}[r.IntN(3)] + key
			case 1:
				depth++
				fmt.Fprintf(&b, "%s%s%s%s\n", []string{"if", "IF"}[r.IntN(2)], []string{" ", "\n# comment\n\t"}[r.IntN(2)], []string{"", "!", "! "}[r.IntN(3)], p)
			case 2:
				if depth > 0 {
					depth--
					b.WriteString("endif\n")
				}
			}
		}
		fmt.Fprintf(&b, "%s%s%s\n", key, []string{" ", "\t", "\n\t"}[r.IntN(3)], strings.Join(result, []string{", ", " ", ",", ",\n# comment\n\n  "}[r.IntN(4)]))
	}
	for range depth {
		b.WriteString("endif\n")
	}
	return b.String()
}

func randomClient(r *rand.Rand) netip.Addr {
	if r.IntN(3) > 0 {
		return netip.AddrFrom4([4]byte{192, 0, byte(r.IntN(4)), byte(r.IntN(8) * 32)})
	}
	return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 14: byte(r.IntN(2)), 15: byte(r.IntN(256))})
}

// keywordsOf returns the keywords of a value that Postfix knows, in order.
func keywordsOf(value string) []string {
	words := strings.FieldsFunc(strings.ToLower(value), func(r rune) bool { return r == ',' || r == ' ' })
	words = slices.DeleteFunc(words, func(w string) bool {
		_, err := lists.ParseKeyword(w)
		return err != nil && w != "starttls"
	})
	slices.Sort(words)
	return slices.Compact(words)
}

// queryPostmap returns what Postfix finds in tables, of which the first that has a client decides.
func queryPostmap(t *testing.T, conf string, tables []string, clients []netip.Addr) map[netip.Addr]string {
	t.Helper()
	found := make(map[netip.Addr]string)
	for _, table := range slices.Backward(tables) {
		cmd := exec.CommandContext(t.Context(), "/usr/sbin/postmap", "-c", conf, "-q", "-", table)
		var in strings.Builder
		for _, a := range clients {
			fmt.Fprintln(&in, a)
		}
		cmd.Stdin = strings.NewReader(in.String())
		out, err := cmd.Output()
		if exit := (*exec.ExitError)(nil); err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) { // 1: none is there
			t.Fatal(err)
		}
		for line := range strings.Lines(string(out)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), "\t")
			found[netip.MustParseAddr(key)] = value
		}
	}
	return found
}

// TestImport compares the answers of random tables by Postfix with those of the lists that they become.
func TestImport(t *testing.T) {
	testenv.Needs(t, "Postfix")
	hits := 0
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 18))
		dir := t.TempDir()
		old := time.Now().Add(-time.Hour) // Postfix would wait until a file is not new
		writeOld := func(name, text string) {
			writeFile(t, filepath.Join(dir, name), text)
			if err := os.Chtimes(filepath.Join(dir, name), old, old); err != nil {
				t.Fatal(err)
			}
		}
		writeOld("main.cf", "compatibility_level = 3.6\n")
		var tables []string
		for i := range 1 + r.IntN(2) {
			kind := []string{"cidr", "cidr", "texthash", "hash"}[r.IntN(4)]
			name := fmt.Sprint("table", i)
			file := filepath.Join(dir, name)
			writeOld(name, randomTable(r, kind == "cidr"))
			if kind == "hash" {
				if out, err := exec.CommandContext(t.Context(), "/usr/sbin/postmap", "-c", dir, "hash:"+file).CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
			}
			tables = append(tables, kind+":"+file)
		}
		var sections bytes.Buffer
		f := importFlags{output: dir, prefix: "imported-", service: "smtp"}
		parsed, service, err := f.parse([]string{strings.Join(tables, ", ")})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.run(parsed, service, &sections, io.Discard); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, "c.toml"), sections.String())
		cfg, err := config.Load(filepath.Join(dir, "c.toml"))
		if err != nil {
			t.Fatalf("%v\n%s", err, &sections)
		}
		snapshot := state.Load(cfg, time.Now).Snapshot()
		if errs := snapshot.Unavailable(); len(errs) > 0 {
			t.Fatal(errs)
		}
		var clients []netip.Addr
		for range 150 {
			a := randomClient(r)
			if r.IntN(2) == 0 {
				a = a.Next()
			}
			clients = append(clients, a)
		}
		want := queryPostmap(t, dir, tables, clients)
		for _, a := range clients {
			d := snapshot.Policy.Decide(t.Context(), lists.Client{Addr: a})
			got := string(snapshot.Values.Append(nil, lists.SMTP, &d))
			value, hit := want[a]
			if hit {
				hits++
			}
			// A result of no known keyword hides nothing, and ehlogate says that in another way.
			if silent := len(keywordsOf(value)) == 0 && got == "silent-discard"; !silent && !slices.Equal(keywordsOf(got), keywordsOf(value)) || (got != "") != hit {
				t.Fatalf("seed %d, %s: Postfix finds %q (%v), ehlogate answers %q\n%s", seed, a, value, hit, got, &sections)
			}
		}
	}
	if hits < 1000 {
		t.Errorf("only %d clients are in the tables", hits)
	}
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
