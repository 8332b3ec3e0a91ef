package listfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"ehlogate/lists/diag"
	"ehlogate/lists/filewatch"
	"ehlogate/lists/iptable"
)

// readTable reads the files that a look saw, and returns which lines of them it skipped. Its errors are *diag.Problems,
// filewatch.ChangedError and filewatch.ReadError.
func (spec Spec) readTable(files filewatch.Snapshot, open opener, inspect *inspection) (*iptable.Table, content, error) {
	var all diag.Problems
	var read content
	if err := files.Err(); filewatch.IsReadError(err) {
		return nil, read, err
	} else if err != nil {
		all.AddError(spec.explainMissing(err))
	}
	if spec.Format != nil {
		spec.Rules.Findings = new(Findings)
	}
	b, full := iptable.Builder{MaxEntries: spec.MaxEntries, KeepsOrder: inspect != nil && inspect.keepsOrder}, false
	for _, name := range files.Names() {
		err := open(name, func(r io.ReadSeeker) error {
			lines, err := countLines(r)
			if err != nil {
				return err
			}
			b.BeginFile(name, lines)
			read.line = 0
			err = spec.parse(r, name, func(it *Item) error {
				if inspect != nil {
					inspect.visit(it)
				}
				read.count(it)
				err := b.Add(&it.Item)
				if limit, ok := err.(*iptable.LimitError); ok {
					full, err = true, it.problem(name, limit.Msg, limit.Hint)
				}
				return err
			})
			if !full {
				err = spec.recognise(r, name, err)
			}
			return err
		})
		switch {
		case err == nil:
		case errors.As(err, new(filewatch.ChangedError)), filewatch.IsReadError(err):
			return nil, read, err
		case !all.AddError(spec.explainMissing(err)):
			return nil, read, filewatch.NewReadError(name, err)
		case full:
			return nil, read, &all
		}
	}
	read.skipped = spec.checkWhole(files, read, &all)
	if err := all.Err(); err != nil {
		return nil, read, err
	}
	t := b.Table()
	if inspect != nil {
		inspect.order = b.Order()
	}
	return t, read, nil
}

// content is what the files of a list have, as an operator counts it: an entry of which a grammar makes several is one.
type content struct {
	entries, exceptions int
	skipped             diag.Problems

	line, col int // of the last entry
}

func (c *content) count(it *Item) {
	switch {
	case it.Part || it.Line == c.line && it.Col == c.col:
		return
	case it.Exception:
		c.exceptions++
	default:
		c.entries++
	}
	c.line, c.col = it.Line, it.Col
}

// checkWhole adds a problem if the files, which have that content, may be cut short. It returns the lines of a feed
// that were skipped.
//
// Many publishers write no newline after the last line. That shows that a file is whole only together with min_entries.
// A rename does not show it reliably: its trace is a ctime later than the mtime, which chmod(1) leaves as well, and which
// a kernel with coarse time stamps does not leave within one tick.
func (spec Spec) checkWhole(files filewatch.Snapshot, read content, all *diag.Problems) (skipped diag.Problems) {
	if read.entries < spec.MinEntries && all.Total == 0 {
		without := ""
		if read.exceptions > 0 {
			without = " without exceptions"
		}
		all.Add(diag.Problem{File: strings.Join(files.Names(), ", "), Msg: fmt.Sprintf("the list has %d entries%s; min_entries is %d", read.entries, without, spec.MinEntries),
			Hint: "was the feed cut short? If it is meant to be so small, lower min_entries in the config"})
	}
	found := spec.Rules.Findings
	if found == nil {
		return skipped
	}
	for _, p := range found.Unterminated {
		switch {
		case spec.MinEntries > 0:
		case spec.Named:
			p.Hint = "the daemon takes such a file only if its list has min_entries"
			found.Skipped.Add(p)
		default:
			p.Hint = fmt.Sprintf("if the publisher writes it so, set min_entries for this list (%d entries were read); else end the last line with a newline", read.entries)
			all.Add(p)
		}
	}
	return found.Skipped
}

// explainMissing replaces the hint about a missing file: a feed is fetched, and an empty one is no list.
func (spec Spec) explainMissing(err error) error {
	p, ok := err.(diag.Problem)
	if !ok || p.Hint != filewatch.MissingHint {
		return err
	}
	if spec.Format != nil {
		p.Hint = "fetch it, or correct its name in the config"
	}
	if spec.Named {
		p.Hint = strings.TrimSuffix(p.Hint, ", or correct its name in the config")
	}
	return p
}

func (spec Spec) parse(r io.Reader, name string, each func(*Item) error) error {
	if spec.Format != nil {
		return spec.Format.Parse(r, name, spec.Rules, each)
	}
	return Parse(r, name, spec.Rules, each)
}

func (it *Item) problem(file, msg, hint string) diag.Problem {
	return diag.Problem{File: file, Line: it.Line, Col: it.Col, Width: it.Width, Text: string(it.source), Msg: msg, Hint: hint}
}

// countLines returns the number of lines of a file, and rewinds it. That takes a hundredth of the time of parsing, and
// the builder then allocates once.
func countLines(r io.ReadSeeker) (n int, err error) {
	for buf := make([]byte, readSize); ; {
		got, err := r.Read(buf)
		n += bytes.Count(buf[:got], []byte("\n"))
		if err == io.EOF {
			_, err = r.Seek(0, io.SeekStart)
			return n, err
		} else if err != nil {
			return n, err
		}
	}
}
