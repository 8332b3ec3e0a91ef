package mtatest_test

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
)

// The kinds of records (RFC 8446 section 5.1).
const (
	recordCCS       = 20
	recordAlert     = 21
	recordHandshake = 22
	recordData      = 23
)

// makeRecord returns a record of TLS.
func makeRecord(kind byte, version uint16, body []byte) []byte {
	b := []byte{kind, byte(version >> 8), byte(version), byte(len(body) >> 8), byte(len(body))}
	return append(b, body...)
}

// alertRecord returns an alert that ends the handshake, in the clear.
func alertRecord(number byte) []byte {
	return makeRecord(recordAlert, tls.VersionTLS12, []byte{2, number})
}

// clientHello is the first message of a client. Its zero value is what any server of today takes, of TLS 1.2.
type clientHello struct {
	record     uint16   // the version of the record; 0 is TLS 1.0
	version    uint16   // 0 is TLS 1.2
	ciphers    []uint16 // nil: some of TLS 1.2 and 1.3
	versions   []uint16 // the extension, without which there is no TLS 1.3
	groups     []uint16 // nil: P-256 and X25519
	signatures []uint16 // nil: those of today
	shares     []byte   // of keys; nil: none
	sni        string   // any bytes; empty: no extension
	more       []byte   // more extensions
	bare       bool     // no extensions
	sessionID  int      // its length
	compress   []byte   // nil: no compression
}

// The ciphers that matter here.
var (
	modern = []uint16{0x1301, 0x1302, 0xc02b, 0xc02c, 0xc02f, 0xc030, 0xc009, 0xc00a, 0xc013, 0xc014}
	old10  = []uint16{0xc009, 0xc00a, 0xc013, 0xc014, 0x2f, 0x35}
)

// share13 is the share of a key for P-256, which every server here takes.
var share13 = func() []byte {
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return appendSized16([]byte{0, 23}, key.PublicKey().Bytes())
}()

// hello13 begins a handshake of TLS 1.3 that any server of today takes.
var hello13 = clientHello{groups: []uint16{23}, versions: []uint16{tls.VersionTLS13}, shares: share13}

// bytes returns the record.
func (h clientHello) bytes() []byte {
	return makeRecord(recordHandshake, orVersion(h.record, tls.VersionTLS10), makeMessage(1, h.body()))
}

// makeMessage returns a message of a handshake.
func makeMessage(kind byte, body []byte) []byte {
	return append([]byte{kind, byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}, body...)
}

func (h clientHello) body() []byte {
	b := binary.BigEndian.AppendUint16(nil, orVersion(h.version, tls.VersionTLS12))
	b = append(b, make([]byte, 32)...) // random
	b = append(b, byte(h.sessionID))
	b = append(b, make([]byte, h.sessionID)...)
	b = appendSized16(b, listWords(h.ciphers, modern...))
	compress := h.compress
	if compress == nil {
		compress = []byte{0}
	}
	b = append(append(b, byte(len(compress))), compress...)
	if h.bare {
		return b
	}
	return appendSized16(b, h.extensions())
}

func (h clientHello) extensions() (b []byte) {
	if h.sni != "" {
		name := appendSized16([]byte{0}, []byte(h.sni))
		b = appendExtension(b, 0, appendSized16(nil, name))
	}
	b = appendExtension(b, 10, appendSized16(nil, listWords(h.groups, 29, 23)))
	b = appendExtension(b, 11, []byte{1, 0})
	b = appendExtension(b, 13, appendSized16(nil, listWords(h.signatures, 0x0403, 0x0503, 0x0804, 0x0401, 0x0203, 0x0201)))
	if h.versions != nil {
		list := listWords(h.versions)
		b = appendExtension(b, 43, append([]byte{byte(len(list))}, list...))
		b = appendExtension(b, 45, []byte{1, 1})
	}
	if h.shares != nil {
		b = appendExtension(b, 51, appendSized16(nil, h.shares))
	}
	return append(b, h.more...)
}

func appendExtension(b []byte, kind uint16, data []byte) []byte {
	return appendSized16(binary.BigEndian.AppendUint16(b, kind), data)
}

func appendSized16(b, data []byte) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(data))), data...)
}

// listWords returns numbers of 16 bits, by default others.
func listWords(list []uint16, otherwise ...uint16) (b []byte) {
	if list == nil {
		list = otherwise
	}
	for _, n := range list {
		b = binary.BigEndian.AppendUint16(b, n)
	}
	return b
}

func orVersion(version, otherwise uint16) uint16 {
	if version == 0 {
		return otherwise
	}
	return version
}
