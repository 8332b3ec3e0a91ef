package tlsrpt

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// walk is a message whose parts are being read.
type walk struct {
	source string
	each   func(Item)
	parts  int // so far
	text   int // bytes of JSON so far
	found  int // reports, or parts that should be one
}

// ErrNoReport is the error of a message that is none of a sender of reports.
var ErrNoReport = errors.New("no TLS report in this message: it has no part of the type application/tlsrpt+gzip or application/tlsrpt+json")

var errTooManyParts = fmt.Errorf("more than %d parts: the rest was not read", maxParts)

// readMessage calls each for the reports in a message.
func readMessage(source string, message []byte, each func(Item)) {
	w := &walk{source: source, each: each}
	err := w.readMessage(message, 0)
	if err == nil && w.found == 0 {
		err = ErrNoReport
	}
	if err != nil {
		each(Item{Source: source, Err: err})
	}
}

// readMessage reads a message, which can be a part of another one.
func (w *walk) readMessage(message []byte, depth int) error {
	m, err := mail.ReadMessage(bytes.NewReader(message))
	if err != nil {
		return fmt.Errorf("no mail message: %w", err)
	}
	return w.readPart(textproto.MIMEHeader(m.Header), m.Body, newMail(message, m.Header), depth)
}

// readPart reads a part of from, and the parts in it.
func (w *walk) readPart(header textproto.MIMEHeader, body io.Reader, from *Mail, depth int) error {
	if w.parts++; w.parts > maxParts {
		return errTooManyParts
	}
	if depth > maxDepth {
		return fmt.Errorf("more than %d levels of parts in parts", maxDepth)
	}
	kind, params, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil && kind == "" { // parameters that are wrong leave the type
		kind, _, _ = strings.Cut(header.Get("Content-Type"), ";")
		kind = strings.ToLower(strings.TrimSpace(kind))
	}
	if strings.HasPrefix(kind, "multipart/") && params["boundary"] != "" {
		return w.readParts(multipart.NewReader(body, params["boundary"]), from, depth)
	}
	if kind != "message/rfc822" && !mayBeReport(kind, fileName(header, params)) {
		return nil
	}
	content, err := decodeTransfer(header.Get("Content-Transfer-Encoding"), body)
	if err == nil && kind == "message/rfc822" {
		return w.readMessage(content, depth+1)
	}
	w.found++
	item := Item{Source: w.source, Mail: from}
	if err == nil {
		content, err = decompress(content, maxText-w.text)
		w.text += len(content)
	}
	if err == nil {
		item.Report, err = Parse(content)
	}
	if err != nil {
		item.Err = fmt.Errorf("part of the type %.100s: %w", kind, err)
	}
	w.each(item)
	return nil
}

func (w *walk) readParts(parts *multipart.Reader, from *Mail, depth int) error {
	for {
		part, err := parts.NextRawPart() // NextPart would decode, and hide how
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			if w.found > 0 {
				return nil // the last boundary is missing
			}
			return fmt.Errorf("damaged message: %w", err)
		}
		if err := w.readPart(part.Header, part, from, depth+1); err != nil {
			return err
		}
	}
}

func fileName(header textproto.MIMEHeader, typeParams map[string]string) string {
	if _, params, err := mime.ParseMediaType(header.Get("Content-Disposition")); err == nil && params["filename"] != "" {
		return params["filename"]
	}
	return typeParams["name"]
}

// mayBeReport reports whether a part is a report by its type, or by its file name if the type says little.
func mayBeReport(kind, name string) bool {
	switch kind {
	case "application/tlsrpt+gzip", "application/tlsrpt+json", "application/tlsrpt":
		return true
	case "application/json", "application/gzip", "application/x-gzip", "application/octet-stream", "text/plain", "text/json", "":
		name = strings.ToLower(name)
		return strings.HasSuffix(name, ".json") || strings.HasSuffix(name, ".json.gz") || strings.Count(name, "!") >= 3 && strings.HasSuffix(name, ".gz")
	}
	return false
}

// decodeTransfer undoes the transfer encoding of a part (RFC 2045 section 6).
func decodeTransfer(encoding string, body io.Reader) ([]byte, error) {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "base64":
		return decodeBase64(body)
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	}
	content, err := io.ReadAll(body)
	if err != nil && !isCutOff(err, content) {
		return nil, err
	}
	return content, nil
}

// isCutOff reports whether a part has content and only lacks the boundary behind it. What is in it shows whether it is whole.
func isCutOff(err error, content []byte) bool {
	return errors.Is(err, io.ErrUnexpectedEOF) && len(content) > 0
}

// decodeBase64 leaves out what is no letter of base64, as RFC 2045 asks, and does without the padding.
func decodeBase64(body io.Reader) ([]byte, error) {
	encoded, err := io.ReadAll(body)
	if err != nil && !isCutOff(err, encoded) {
		return nil, err
	}
	letters := encoded[:0]
	for _, c := range encoded {
		if c|0x20-'a' < 26 || c-'0' < 10 || c == '+' || c == '/' {
			letters = append(letters, c)
		} else if c == '=' {
			break
		}
	}
	content := make([]byte, base64.RawStdEncoding.DecodedLen(len(letters)))
	n, err := base64.RawStdEncoding.Decode(content, letters)
	if err != nil {
		return nil, fmt.Errorf("damaged base64: %w", err)
	}
	return content[:n], nil
}

// decompress returns content, decompressed if it is compressed by gzip, if that is at most limit bytes.
func decompress(content []byte, limit int) ([]byte, error) {
	if !isGzip(content) {
		if len(content) > limit {
			return nil, errTooLarge
		}
		return content, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("damaged gzip: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(z, int64(limit)+1))
	if len(text) > limit {
		return nil, errTooLarge
	}
	if err != nil {
		return nil, fmt.Errorf("damaged gzip: %w", err)
	}
	return text, nil
}

func isGzip(content []byte) bool { return bytes.HasPrefix(content, []byte("\x1f\x8b")) }

var errTooLarge = fmt.Errorf("larger than %d MiB: this is no report", maxText>>20)
