package listfile

import (
	"ehlogate/lists/iptable"
)

// Item is an entry and its place in a file.
type Item struct {
	iptable.Item
	Col, Width int    // in bytes; Col is from 1
	Part       bool   // of an entry that was yielded before as a whole
	source     []byte // the line, until the callback of Parse returns
}

// SetLine sets the line that an entry is in. The text is not modified before the entry was yielded.
func (it *Item) SetLine(line int, text []byte) { it.Line, it.source = line, text }
