package state

import (
	"bytes"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"ehlogate/cmd/ehlogate/internal/test/logschema"
	"ehlogate/lists/tlsrpt"
)

// TestReportsEnd: a finding counts for a week, is logged once, and many are not logged one by one.
func TestReportsEnd(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	var out bytes.Buffer
	log := logrus.New()
	logschema.Watch(t, log)
	log.SetOutput(&out)
	var found []netip.Addr
	path := filepath.Join(t.TempDir(), "tlsrpt.json")
	r := newTLSReports(path, func() time.Time { return now }, log, func(f tlsrpt.Finding) { found = append(found, f.Address) })
	r.look()
	record := func(first, count int) {
		t.Helper()
		var all []tlsrpt.Finding
		for i := range count {
			all = append(all, tlsrpt.Finding{Address: netip.AddrFrom4([4]byte{192, 0, 2, byte(first + i)}), Reason: "listed", List: "deny", Sessions: 1, ReportID: fmt.Sprint(first + i),
				Organization: "evil\x1b[31m.example", Start: now, End: now})
		}
		if err := tlsrpt.Record(path, now, all); err != nil {
			t.Fatal(err)
		}
		r.look()
	}
	record(0, 1)
	record(1, 1)
	if got := strings.Count(out.String(), "mail was not sent"); got != 2 || len(r.Suppressed()) != 2 {
		t.Errorf("%d lines, %d findings: %s", got, len(r.Suppressed()), &out)
	}
	if want := []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, 0}), netip.AddrFrom4([4]byte{192, 0, 2, 1})}; !slices.Equal(found, want) {
		t.Errorf("passed on: %v, want %v", found, want)
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Errorf("the log has an escape: %q", &out)
	}
	now = now.Add(tlsrpt.Keep - time.Second)
	if got := len(r.Suppressed()); got != 2 {
		t.Errorf("%d findings before the end", got)
	}
	now = now.Add(time.Second)
	if got := len(r.Findings()); got != 0 {
		t.Errorf("%d findings after the end", got)
	}
	out.Reset()
	record(10, 100)
	if got := strings.Count(out.String(), "\n"); got != maxReportLines+1 || !strings.Contains(out.String(), "not_logged=80") {
		t.Errorf("%d lines: %s", got, &out)
	}
}
