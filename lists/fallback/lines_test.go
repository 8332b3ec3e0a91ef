package fallback

import (
	"encoding/hex"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"ehlogate/lists/maillog"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// fullEntry, and evidence with its proofs, as they were written before records had lines.
const (
	oldEntry = "01146d61696c2e7072696e7465722e6578616d706c6506106e6f2d7368617265642d63697068657202a0dfb9ae0d80bab703c097baae0d80f4ee0680aea60a8088" +
		"bbae0d80e8dd0d0a0204c0f8bbae0d80dccc140604736d747005544c537631e0b0bcae0d809684180604736d747005544c53763114756e737570706f727465642d" +
		"70726f746f636f6c0280e9bcae0d80d0bb1b0604736d747005544c537631a0a1bdae0d808af31e14161a1c80cabeae0d"
	oldEvidence = "01146d61696c2e7072696e7465722e6578616d706c6502106e6f2d7368617265642d63697068657280a7b9ae0d14756e737570706f727465642d70726f746f636f" +
		"6c04c0f8bbae0d80dccc140604736d747005544c537631e0b0bcae0d809684180604736d747005544c537631"
)

// withoutLines returns an entry as it was before records had lines.
func (e *entry) withoutLines() *entry {
	for _, all := range [][]proof{e.proofs, e.legacyProofs} {
		for i := range all {
			all[i].line = ""
		}
	}
	return e
}

// Records of the version before lines, as that version wrote them, are read.
func TestRecordsWithoutLines(t *testing.T) {
	e := fullEntry().withoutLines()
	entryRecord, evidenceRecord := must(hex.DecodeString(oldEntry)), must(hex.DecodeString(oldEvidence))
	got := decodeEntry(addrKey(e.addr), entryRecord)
	if got == nil {
		t.Fatal("no entry")
	}
	if got.probe = nil; !reflect.DeepEqual(got, e) {
		t.Errorf("got %+v\nwant %+v", got, e)
	}
	v := &evidence{"mail.printer.example", true, classByName[noCipher], epoch, classByName[oldVersion], e.proofs}
	if got := decodeEvidence(evidenceRecord); !reflect.DeepEqual(got, v) {
		t.Errorf("got %+v\nwant %+v", got, v)
	}
	for n := range entryRecord {
		if decodeEntry(addrKey(e.addr), entryRecord[:n]) != nil {
			t.Errorf("%d bytes of a record are taken for a record", n)
		}
	}
}

// A store of the version before lines, as that version wrote it, counts as ever: a client with an entry, one with a failure, and
// one that completed TLS. Failures that follow have their lines.
func TestUpgradeToLines(t *testing.T) {
	const failed, immune = "198.51.100.1", "203.0.113.1"
	text, err := os.ReadFile("testdata/store-without-lines")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, nil)
	for line := range strings.Lines(string(text)) {
		var bucket string
		var key, value []byte
		if _, err := fmt.Sscanf(line, "%s %x %x", &bucket, &key, &value); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		_ = w.tx.Bucket(bucket).Put(key, value)
	}
	w.Reload()
	w.wait(93 * time.Minute) // from the last failure in it, 31
	w.expect(w.suppress, client, true, "after the upgrade")
	const line = "Nov  1 13:33:00 mx postfix/smtpd[1]: warning: TLS library problem: error:0A0000C1:SSL routines::no shared cipher:x.c:1:"
	for addr, before := range map[string]int{client: 3, failed: 1} {
		w.add(addr, fails(noCipher), logged(line))
		r, err := w.Client(w.tx, w.now, w.lookup(addr))
		if r.Entry != nil {
			r.Evidence = r.Entry.Evidence
		}
		if n := len(r.Evidence); err != nil || n != before+1 || r.Evidence[0].Line != "" || r.Evidence[before].Line != line {
			t.Errorf("%s: %+v, %v", addr, r, err)
		}
	}
	if !w.refused(immune, "it completed TLS") {
		t.Error("immunity is forgotten")
	}
}

// Of a client without an entry the lines are bounded, those of the first and the last failure stay; an entry has all.
func TestLinesAreBounded(t *testing.T) {
	for _, tc := range []struct {
		length int
		lines  string // of the proofs, 1 for one that has a line
	}{{maillog.MaxSessionLine, "10000001"}, {maxLines / 4, "10000111"}, {maxLines / 8, "11111111"}, {0, "00000000"}} {
		w := newWorld(t, nil)
		w.standing = StandingDenied
		for range 10 {
			w.add(client, fails(noCipher), logged(strings.Repeat("x", tc.length)))
			w.wait(31 * time.Minute)
		}
		w.Reload()
		r, err := w.Client(w.tx, w.now, w.lookup(client))
		got := ""
		for _, p := range r.Evidence {
			got += string('0' + byte(min(len(p.Line), 1)))
		}
		if err != nil || got != tc.lines {
			t.Errorf("%d bytes a line: %s, %v; want %s", tc.length, got, err, tc.lines)
		}
		record, _ := w.clients.find(w.tx, addrKey(w.lookup(client)))
		if len(record) > maxLines+400 {
			t.Errorf("%d bytes a line: a record of %d bytes", tc.length, len(record))
		}
	}
	w := newWorld(t, nil)
	w.learn(client, noCipher, logged(strings.Repeat("x", maillog.MaxSessionLine)))
	w.Reload()
	w.wait(0)
	if all := w.entryOf(client).proofs; len(all) != 3 || len(all[0].line)+len(all[1].line)+len(all[2].line) != 3*maillog.MaxSessionLine {
		t.Errorf("%+v", all)
	}
}

// Rule 13: each failure is shown with the line of the log that tells the reason, of a client with an entry and of one without.
func TestReportLines(t *testing.T) {
	line := func(i int) string {
		return fmt.Sprintf("Nov  1 12:0%d:00 mx postfix/smtpd[%d]: SSL_accept error from mail.printer.example[192.0.2.25]: x", i, i)
	}
	w := newWorld(t, nil)
	for i := range 3 {
		if i > 0 {
			w.wait(31 * time.Minute)
			w.Reload()
		}
		w.add(client, fails(noCipher), logged(line(i)))
		r, err := w.Client(w.tx, w.now, w.lookup(client))
		if r.Entry != nil {
			r.Evidence = r.Entry.Evidence
		}
		if err != nil || len(r.Evidence) != i+1 || (r.Entry != nil) != (i == 2) {
			t.Fatalf("%+v, %v", r, err)
		}
		for j, p := range r.Evidence {
			if p.Line != line(j) {
				t.Errorf("failure %d of %d: got %q", j+1, i+1, p.Line)
			}
		}
	}
	if r, err := w.Report(w.tx, w.now); err != nil || r.Entries[0].Evidence[0].Line != "" {
		t.Errorf("the report of all clients has lines: %+v, %v", r, err)
	}
}
