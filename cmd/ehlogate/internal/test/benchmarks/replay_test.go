package benchmarks

import (
	"os"
	"path/filepath"
	"testing"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/logtest"
	"ehlogate/lists/test/testenv"
)

const pflogsumm = "/var/cache/ehlogate-test/pflogsumm"

// TestReplay reads a log of Postfix. wc counts its lines, which is the least that a reader does; pflogsumm makes a report
// from it, which is what operators use today.
func TestReplay(t *testing.T) {
	testenv.Needs(t, "pflogsumm")
	program, err := mtatest.Program(false)
	if err != nil {
		t.Fatal(err)
	}
	log := writeLog(t, pick(10_000_000, 50_000), 20_000)
	many := writeLog(t, pick(5_000_000, 50_000), pick(1_000_000, 10_000))
	perl, err := filepath.Glob(pflogsumm + "/usr/lib/*/perl5/*")
	if err != nil || len(perl) == 0 {
		t.Fatalf("pflogsumm is not unpacked: %v", err)
	}
	config := filepath.Join(tempDir(t), "ehlogate.toml")
	write(t, config, "default = \"offer\"\n")
	seconds := func(args ...string) func() float64 {
		return func() float64 { s, _ := measureRun(t, args[0], args[1:]...); return s }
	}
	replay := []string{program, "replay", "-c", config}

	const group = "replay of a log of ten million lines"
	ours := side{"ehlogate replay", seconds(append(replay, log)...)}
	compare(t, group, "CPU time", "s", 3, pick(5, 1), ours, side{"wc -l", seconds("wc", "-l", log)})
	compare(t, group, "CPU time", "s", 0.1, 1, ours, side{"pflogsumm",
		seconds("perl", "-I", pflogsumm+"/usr/share/perl5", "-I", perl[0], pflogsumm+"/usr/sbin/pflogsumm", log)})
	compare(t, "replay of a million clients", "largest resident memory", "MiB", 1, pick(2, 1),
		side{"ehlogate replay", func() float64 { _, peak := measureRun(t, program, append(replay[1:], many)...); return peak }},
		side{"what is promised: 200 MB", func() float64 { return 200e6 / (1 << 20) }})
}

func writeLog(t *testing.T, lines, clients int) (path string) {
	t.Helper()
	path = filepath.Join(tempDir(t), "mail.log")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := logtest.WritePostfix(f, lines, clients); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}
