package tlsrpt

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"mime/quotedprintable"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func compress(t testing.TB, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// inBase64 returns content as a part of a message has it.
func inBase64(content []byte) string {
	var b strings.Builder
	for text := base64.StdEncoding.EncodeToString(content); text != ""; {
		n := min(76, len(text))
		b.WriteString(text[:n] + "\n")
		text = text[n:]
	}
	return b.String()
}

func inQuotedPrintable(content []byte) string {
	var b strings.Builder
	w := quotedprintable.NewWriter(&b)
	w.Write(content)
	w.Close()
	return strings.ReplaceAll(b.String(), "\r\n", "\n")
}

// head is the head of a message from a sender of reports, as far as its type.
const head = `Return-Path: <>
Received: from out.sender.example (out.sender.example [192.0.2.25]) by mx.example.org with ESMTPS id 1;
	Sat, 28 Nov 2026 06:09:00 +0100
From: TLS reports <noreply@sender.example>
To: tlsrpt@example.org
Date: Sat, 28 Nov 2026 05:08:59 +0000
Subject: Report Domain: example.org Submitter: sender.example Report-ID:
 <1@sender.example>
TLS-Report-Domain: example.org
TLS-Report-Submitter: sender.example
Message-ID: <1@sender.example>
MIME-Version: 1.0
`

const (
	gzipPart = "Content-Type: application/tlsrpt+gzip; name=\"sender.example!example.org!1795737600!1795823999!1.json.gz\"\nContent-Transfer-Encoding: base64\n"
	textPart = "Content-Type: text/plain; charset=us-ascii\n\nThis is an aggregate report.\n"
)

// inParts returns a message or part of parts.
func inParts(kind, boundary string, parts ...string) string {
	text := fmt.Sprintf("Content-Type: multipart/%s;\n\tboundary=%q\n\n", kind, boundary)
	for _, p := range parts {
		text += "--" + boundary + "\n" + p + "\n"
	}
	return text + "--" + boundary + "--\n"
}

// TestMessages reads a report in each form in which it may come.
func TestMessages(t *testing.T) {
	doc := readSample(t, "rfc")
	z := inBase64(compress(t, doc))
	report := func(parts ...string) string {
		return head + inParts("report; report-type=tlsrpt", "=_078e4900-4595", parts...)
	}
	whole := report(textPart, gzipPart+"\n"+z)
	for name, message := range map[string]string{
		"gzip":             whole,
		"json":             report(textPart, "Content-Type: application/tlsrpt+json\nContent-Transfer-Encoding: base64\n\n"+inBase64(doc)),
		"quoted-printable": report(textPart, "Content-Type: application/tlsrpt+json\nContent-Transfer-Encoding: QUOTED-PRINTABLE\n\n"+inQuotedPrintable(doc)),
		"7bit":             report(textPart, "Content-Type: application/tlsrpt+json\n\n"+string(doc)),
		"without a part":   head + gzipPart + "\n" + z,
		"in mixed":         head + inParts("mixed", "outer", textPart, inParts("report", "inner", textPart, gzipPart+"\n"+z)),
		"octet-stream": report("Content-Type: application/octet-stream\nContent-Disposition: attachment;\n\tfilename=\"a!b!1!2.json.gz\"\n" +
			"Content-Transfer-Encoding: base64\n\n" + z),
		"gzip as json":      report("Content-Type: application/tlsrpt+json\nContent-Transfer-Encoding: base64\n\n" + z),
		"json as gzip":      report("Content-Type: application/tlsrpt+gzip\nContent-Transfer-Encoding: base64\n\n" + inBase64(doc)),
		"forwarded":         head + inParts("mixed", "outer", "Content-Type: message/rfc822\n\n"+whole),
		"CRLF":              strings.ReplaceAll(whole, "\n", "\r\n"),
		"without an end":    strings.TrimSuffix(whole, "--=_078e4900-4595--\n"),
		"without padding":   report(gzipPart + "\n" + strings.ReplaceAll(z, "=", "")),
		"from an alias":     "From noreply@sender.example  Sat Nov 28 06:09:00 2026\n" + whole,
		"bad parameters":    report("Content-Type: application/tlsrpt+gzip; name=a b; ;\nContent-Transfer-Encoding: base64\n\n" + z),
		"json file":         string(doc),
		"json file, UTF-8":  "\xef\xbb\xbf" + string(doc),
		"gzip file":         string(compress(t, doc)),
		"message in gzip":   string(compress(t, []byte(whole))),
		"spaces in base64":  report(gzipPart + "\n" + strings.ReplaceAll(z, "\n", " \n ")),
		"a comment in CTE ": report("Content-Type: Application/TLSRPT+gzip\nContent-Transfer-Encoding:   Base64  \n\n" + z),
	} {
		var got []Item
		Read("FILE", strings.NewReader(message), func(i Item) { got = append(got, i) })
		if len(got) != 1 || got[0].Err != nil || got[0].Report.ID != "2026-11-27/1" || got[0].Source != "FILE" {
			t.Errorf("%s: got %+v", name, got)
			continue
		}
		if isFile := strings.Contains(name, " file"); (got[0].Mail == nil) != isFile || !isFile && (got[0].Mail.From != "sender.example" || got[0].Mail.Submitter != "sender.example") {
			t.Errorf("%s: got mail %+v", name, got[0].Mail)
		}
		if !strings.Contains(name, " file") && got[0].Mail.Received.Unix() != 1795842540 {
			t.Errorf("%s: received %v", name, got[0].Mail.Received)
		}
	}
}

// TestSources reads mailboxes, Maildirs and directories.
func TestSources(t *testing.T) {
	message := head + gzipPart + "\n" + inBase64(compress(t, readSample(t, "rfc")))
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mailbox := "From a@sender.example  Sat Nov 28 06:09:00 2026\n" + message + "\nFrom b@sender.example  Sat Nov 28 06:10:00 2026\n" + head + "\nno report\n\n" +
		"From c@sender.example  Sat Nov 28 06:10:00 2026\n" + message
	write("mbox", mailbox)
	write("Maildir/new/1795842540.1.mx", message)
	write("Maildir/cur/1795842541.1.mx:2,S", message)
	write("Maildir/tmp/half", message[:300])
	write("Maildir/.Sent/new/x", message)
	write("files/a.json", string(readSample(t, "draft")))
	write("files/b.json.gz", string(compress(t, readSample(t, "rfc"))))
	write("files/c.json", "{\n ]")
	if err := os.Mkdir(filepath.Join(dir, "nothing"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{
		"mbox":     {"mbox, message 1: report", "mbox, message 2: no TLS report in this message", "mbox, message 3: report"},
		"Maildir":  {"Maildir/cur/1795842541.1.mx:2,S: report", "Maildir/new/1795842540.1.mx: report"},
		"files":    {"files/a.json: report", "files/b.json.gz: report", "files/c.json:2:2: invalid JSON"},
		"nothing":  {"nothing: no file in this directory"},
		"missing":  {"missing: no such file"},
		"mbox/new": {"mbox/new: not a directory"},
	} {
		var got []string
		ReadPath(filepath.Join(dir, name), func(i Item) {
			text := strings.TrimPrefix(i.Source, dir+"/") + ": "
			if i.Err != nil {
				text += i.Err.Error()
			} else {
				text += "report"
			}
			got = append(got, text)
		})
		if len(got) != len(want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
			continue
		}
		for i := range got {
			if !strings.HasPrefix(got[i], want[i]) {
				t.Errorf("%s: got %q, want %q", name, got[i], want[i])
			}
		}
	}
}

// TestMailboxStaysWhole checks that a mailbox does not change a message, so that its signature stays valid.
func TestMailboxStaysWhole(t *testing.T) {
	one, two := head+gzipPart+"\n"+inBase64(compress(t, readSample(t, "rfc"))), head+gzipPart+"\n"+inBase64(compress(t, readSample(t, "draft")))
	var got []string
	Read("", strings.NewReader("From a\n"+one+"\nFrom b\n"+two), func(i Item) { got = append(got, string(i.Mail.message)) })
	if len(got) != 2 || got[0] != one || got[1] != two {
		t.Errorf("got %q", got)
	}
}

// TestBombs reads what is made to exhaust memory or time.
func TestBombs(t *testing.T) {
	zeros := compress(t, bytes.Repeat([]byte(" "), 64<<20))
	many := strings.Repeat("--b\nContent-Type: application/tlsrpt+gzip\nContent-Transfer-Encoding: base64\n\n"+inBase64(compress(t, bytes.Repeat([]byte(" "), maxText/2)))+"\n", 50)
	var nested strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&nested, "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i)
	}
	for name, tc := range map[string]struct {
		text string
		want string
	}{
		"gzip":             {string(zeros), "larger than 16 MiB"},
		"gzip in mail":     {head + gzipPart + "\n" + inBase64(zeros), "larger than 16 MiB"},
		"gzip in gzip":     {string(compress(t, zeros)), "no mail message"},
		"many parts":       {head + "Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\n\nx\n", 10000), "more than 100 parts"},
		"many gzip":        {head + "Content-Type: multipart/mixed; boundary=b\n\n" + many, "larger than 16 MiB"},
		"nested":           {head + nested.String(), "more than 16 levels"},
		"nested messages":  {strings.Repeat(head+"Content-Type: message/rfc822\n\n", 1000), "more than 16 levels"},
		"large message":    {head + "\n" + strings.Repeat("x", maxMessage), "larger than 16 MiB"},
		"damaged gzip":     {"\x1f\x8b\x08garbage", "damaged gzip"},
		"cut off gzip":     {string(compress(t, readSample(t, "rfc"))[:100]), "damaged gzip"},
		"damaged base64":   {head + gzipPart + "\nH", "damaged base64"},
		"no header":        {"hello", "no mail message"},
		"another boundary": {head + "Content-Type: multipart/report; boundary=b\n\n--c\n", "no TLS report in this message"},
	} {
		var last error
		Read("FILE", strings.NewReader(tc.text), func(i Item) {
			if i.Err != nil {
				last = i.Err
			}
		})
		if last == nil || !strings.Contains(last.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", name, last, tc.want)
		}
	}
}

// TestOneMessage checks that a message with the line of a mailbox in its text is one, as a mail server passes it.
func TestOneMessage(t *testing.T) {
	message := "Subject: one\n\ntext\n\nFrom here on\nSubject: two\n\ntext\n"
	for _, before := range []string{"", "From a@b  Sat Nov 28 06:09:00 2026\n"} {
		var got []Item
		ReadMessage("x", strings.NewReader(before+message), func(i Item) { got = append(got, i) })
		if len(got) != 1 || !errors.Is(got[0].Err, ErrNoReport) {
			t.Errorf("%q: %+v", before, got)
		}
	}
	rest := strings.NewReader(strings.Repeat("x", maxMessage+100_000))
	ReadMessage("x", rest, func(i Item) {
		if !errors.Is(i.Err, errTooLarge) || rest.Len() > 0 {
			t.Errorf("%v, %d bytes left in the pipe", i.Err, rest.Len())
		}
	})
}
