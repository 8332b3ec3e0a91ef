package benchmarks

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/listtest"
)

// TestCheck is what "ehlogate check" of a long list or feed takes, against the size of the file and to a process that checks an
// empty list.
func TestCheck(t *testing.T) {
	program, err := mtatest.Program(false)
	if err != nil {
		t.Fatal(err)
	}
	n := pick(1_000_000, 2_000)
	addresses := strings.Fields(listtest.Format(listtest.Hosts(n)))
	each := func(line func(i int) string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(line(i) + "\n")
		}
		return b.String()
	}
	name := func(i int) string { return fmt.Sprintf("host%d.customers%d.isp%d.example", i, i*7919%9973, i%613) }
	subnet := func(i int) string { // each another one
		hash := uint32(i) * 2654435761
		return fmt.Sprintf("2001:db8:%x:%x::/64", hash>>16, hash&0xffff)
	}
	dir := tempDir(t)
	check := func(format, text string) (seconds, peak float64) {
		path := filepath.Join(dir, "checked")
		write(t, path, text)
		return measureRun(t, program, "check", "--format", format, path)
	}
	_, empty := check("list", "# empty\n")
	for _, x := range []struct{ what, format, text string }{
		{"addresses", "list", each(func(i int) string { return addresses[i] })},
		{"mixed entries", "list", listtest.Format(listtest.Mixed(n))},
		{"IPv6 networks", "list", each(subnet)},
		{"host names", "list", each(name)},
		{"addresses as postfix-cidr", "postfix-cidr", each(func(i int) string { return addresses[i] + " REJECT" })},
		{"addresses as postfix-cidr, each with a text", "postfix-cidr", each(func(i int) string { return fmt.Sprintf("%s REJECT seen on day %d", addresses[i], i%1000) })},
		{"host names as postfix-access", "postfix-access", each(func(i int) string { return name(i) + " REJECT" })},
	} {
		var times, peaks []float64
		for range pick(3, 1) {
			seconds, peak := check(x.format, x.text)
			times, peaks = append(times, seconds), append(peaks, peak-empty)
		}
		size := float64(len(x.text)) / (1 << 20)
		_, peak, _ := quartiles(peaks)
		_, seconds, _ := quartiles(times)
		what := fmt.Sprintf("a million %s: ", x.what)
		addRow(t, row{group: "check", what: what + "largest RSS, less that for an empty list", unit: "MiB", ours: []float64{peak},
			peer: "the file", theirs: []float64{size}, ratios: []float64{peak / size}, goal: 2})
		single(t, "check", what+"CPU time", "s", seconds, 1, fmt.Sprintf("an empty list: %s MiB", number(empty)))
		os.Remove(filepath.Join(dir, "checked"))
	}
}
