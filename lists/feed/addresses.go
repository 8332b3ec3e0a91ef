package feed

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"ehlogate/lists/diag"
	"ehlogate/lists/listfile"
)

// readAddresses reads what most feeds are: an address, a prefix or a range in each line, and columns after it that say
// when and why. # and ; begin comments; # after an entry begins its note.
//
// The second column may also say which addresses are meant. A mask does, and is read. An address there may be the end of
// a range, and a number the length of a prefix: neither is certain, so both are errors.
func readAddresses(l *listfile.Lines, _ Filtered) {
	var lengths lengthColumn
	readColumns(l, func(first, second word) (word, error) {
		if !strings.ContainsAny(second.text, ".:") {
			lengths.add(l, first, second)
			return first, nil
		}
		end := strings.TrimPrefix(second.text, "-")
		bits, isMask := listfile.ParseMask(end)
		last, err := netip.ParseAddr(end)
		addr, length, hasLength := strings.Cut(first.text, "/")
		switch {
		case isMask && !strings.Contains(first.text, ":") && (!hasLength || length == strconv.Itoa(bits)):
			return word{fmt.Sprintf("%s/%d", addr, bits), first.at}, nil
		case err == nil && isSpan(first.text) && isBefore(last, first.text):
			return first, columnError(second, "address in the second column, which this format ignores (a mask that is none of a network?)",
				"if it does not matter, keep the first column only: "+printColumns(1, "$1"))
		case err == nil && isSpan(first.text):
			return first, columnError(second, "address in the second column, which this format ignores",
				`if it is the last address of a range, set format = "ranges"; else keep the first column only: `+printColumns(1, "$1"))
		}
		return first, nil
	})
	lengths.check(l)
}

// readRanges reads the first and the last address of a range in each line, and further columns. No range of clients ends at
// an address that is a mask, so a mask is an error.
func readRanges(l *listfile.Lines, _ Filtered) {
	readColumns(l, func(first, second word) (word, error) {
		last := strings.TrimPrefix(second.text, "-")
		from, err := netip.ParseAddr(first.text)
		if _, isMask := listfile.ParseMask(last); isMask && err == nil && from.Is4() && from.As4()[0] < 224 {
			return first, columnError(second, "mask in the second column, and no last address of a range", `set format = "addresses", which reads masks`)
		} else if _, err := netip.ParseAddr(last); err == nil && !strings.ContainsAny(first.text, "-/") {
			return word{first.text + "-" + last, first.at}, nil
		} else if _, err := netip.ParseAddr(first.text); err == nil {
			return first, columnError(second, "missing last address of the range in the second column", `each line has the first and the last address of a range; if it has one address, set format = "addresses"`)
		}
		return first, nil
	})
}

func isSpan(s string) bool {
	_, _, err := listfile.ParseSpan(s)
	return err == nil
}

func isBefore(addr netip.Addr, s string) bool {
	from, _, err := listfile.ParseSpan(s)
	return err == nil && addr.Less(from) || addr.IsUnspecified()
}

// printColumns returns a command that writes columns of a feed into another file, which a hint can show. It leaves out
// lines without an address in column n, such as the names of the columns.
func printColumns(n int, expression string) string {
	return fmt.Sprintf(`tr -d '"' < FILE | awk -F'[,; \t]+' '$%d ~ /[.:]/ {print %s}' > NEW`, n, expression)
}

func columnError(w word, msg, hint string) error {
	return &listfile.SyntaxError{Offset: w.at, Width: len(w.text), Msg: msg, Hint: hint}
}

// readColumns yields the span of each line. spanOf returns it from the first two columns, or an error whose offset is
// that in the line.
func readColumns(l *listfile.Lines, spanOf func(first, second word) (word, error)) {
	isFirst := true // no line but comments so far
	for l.Next() {
		first := nextColumn(l.Text, 0)
		if first.text == "" {
			if first.at < len(l.Text) && l.Text[first.at] == ',' {
				l.Fail(first.at, 1, "missing address in the first column", "write the address there, at the beginning of the line")
			}
			continue
		}
		if isFirst && isHeader(first.text) {
			isFirst = false
			continue
		}
		isFirst = false
		second := columnAfter(l.Text, first)
		if second.text == "-" { // which is also how some feeds write an empty column
			if third := columnAfter(l.Text, second); third.text != "" {
				second = third
			}
		}
		if second.text != "" {
			first.text = strings.TrimSuffix(first.text, "-")
		}
		span, err := spanOf(first, second)
		if e := syntaxOf(err); err != nil {
			l.Fail(e.Offset, e.Width, e.Msg, e.Hint)
			continue
		}
		if addr, mask, ok := strings.Cut(span.text, "/"); ok {
			if bits, ok := listfile.ParseMask(mask); ok {
				span.text = fmt.Sprintf("%s/%d", addr, bits)
			}
		}
		from, to, err := listfile.ParseSpan(span.text)
		if e := syntaxOf(err); err != nil {
			if e.Hint == "" {
				e.Hint = hintOfColumn(l.Text)
			}
			failSyntax(l, first, e)
			continue
		}
		it := newSpan(first, from, to)
		if _, note, ok := bytes.Cut(l.Text, []byte("#")); ok {
			it.Note = string(bytes.TrimSpace(note))
		}
		l.Yield(it)
	}
}

// nextColumn returns the column at or after offset at, without the quotes of CSV.
func nextColumn(text []byte, at int) word {
	at = skipBytes(text, at, blanks)
	if at < len(text) && text[at] == '"' {
		if n := bytes.IndexByte(text[at+1:], '"'); n >= 0 {
			return restOfLine(text[:at+1+n], at+1)
		}
	}
	return nextWord(text, at, blanks+",;#")
}

func columnAfter(text []byte, w word) word {
	at := w.endOffset()
	if at < len(text) && text[at] == '"' {
		at++
	}
	return nextColumn(text, skipBytes(text, at, blanks+",;"))
}

// headers are names of the first column, in lower case, without the signs in them.
var headers = []string{"ip", "ips", "ipaddress", "ipaddr", "ipv4", "ipv6", "address", "addr", "cidr", "network", "prefix", "subnet", "netblock", "range", "iprange", "host",
	"srcip", "sourceip", "clientip", "ioc", "indicator", "start", "startip", "first", "firstip", "from", "ipfrom", "ipstart", "rangestart"}

// isHeader reports whether a first column names the addresses below it.
func isHeader(s string) bool {
	name := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" _-.", r) {
			return -1
		}
		return r
	}, strings.ToLower(s))
	return slices.Contains(headers, name)
}

// hintOfColumn returns what to do about a line that does not begin with an address.
func hintOfColumn(text []byte) string {
	isSeparator := func(r rune) bool { return strings.ContainsRune(",; \t", r) } // as printColumns does
	columns := strings.FieldsFunc(strings.ReplaceAll(string(text), `"`, ""), isSeparator)
	if i := slices.IndexFunc(columns, isSpan); i > 0 && !isSeparator(rune(text[0])) {
		return fmt.Sprintf("the address is in column %d; keep that column only: ", i+1) + printColumns(i+1, fmt.Sprintf("$%d", i+1))
	}
	return "each line begins with an address, a prefix or a range"
}

// lengthColumn finds out whether numbers in the second column may be lengths of prefixes: each of them fits its address.
type lengthColumn struct {
	line, col, width int // of the first one that may be; line 0: there is none
	text             string
	isOther          bool // one cannot be
}

func (c *lengthColumn) add(l *listfile.Lines, first, second word) {
	if c.isOther || second.text == "" || strings.Trim(second.text, "0123456789") != "" {
		return
	}
	addr, err := netip.ParseAddr(first.text)
	if err != nil {
		return
	}
	n, err := strconv.Atoi(second.text)
	p, invalid := addr.Prefix(n)
	switch {
	case err != nil || invalid != nil || p.Addr() != addr:
		c.isOther = true
	case n < addr.BitLen() && c.line == 0:
		c.line, c.col, c.width, c.text = l.Line, second.at, len(second.text), string(l.Text)
	}
}

// check reports a number that may be the length of a prefix if none is anything else.
func (c *lengthColumn) check(l *listfile.Lines) {
	if c.line == 0 || c.isOther {
		return
	}
	l.Problems.Add(diag.Problem{File: l.Name, Line: c.line, Col: c.col + 1, Width: c.width, Text: c.text,
		Msg:  "number in the second column, which this format ignores (length of a prefix?)",
		Hint: "if it is, write prefixes: " + printColumns(1, `$1 "/" $2`) + "; else keep the first column only: " + printColumns(1, "$1")})
}
