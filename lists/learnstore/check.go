package learnstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/bits"
	"os"
)

// This file checks the pages of a database before bbolt reads them. bbolt trusts a file: it follows a page that leads to
// itself until the stack is full, which ends the process, and checks pages in goroutines whose panics cannot be recovered.
// The format is in the byte order of the machine.

const (
	metaMagic    = 0xED0CDAED
	metaVersion  = 2
	metaSize     = 64 // without the header of the page
	pageHeader   = 16
	elementSize  = 16 // of a branch or of a leaf
	bucketHeader = 16

	branchPage   = 1
	leafPage     = 2
	freelistPage = 16
	bucketEntry  = 1
	manyFree     = 0xffff // then the number of free pages is before the first

	noFreelist = ^uint64(0)

	maxDepth = 64 // of a tree; one that is filled evenly is less than 16 pages deep
)

var order = binary.NativeEndian

func corrupt(format string, args ...any) error {
	return unusable{error: fmt.Errorf("it is corrupt: "+format, args...)}
}

// pages reads the pages of a database.
type pages struct {
	file io.ReaderAt
	size uint64 // of a page
	end  uint64 // the first page that is not in use
	used []bool
	left uint64 // pages that were not used yet
	// depth is how many pages lead to the present one.
	depth int
}

// header is the header of a page; data is all of it, with the pages that continue it.
type header struct {
	flags, count uint16
	data         []byte
}

// checkFile checks the pages of a database. It returns how many bytes are in use. An empty file is fine.
func checkFile(file *os.File) (used int64, err error) {
	info, err := file.Stat()
	if err != nil || info.Size() == 0 {
		return 0, err
	}
	p, root, freelist, err := readMeta(file, info.Size())
	if err != nil {
		return 0, err
	}
	if err := p.checkTree(root, true); err != nil {
		return 0, err
	}
	used = int64(p.end-p.left) * int64(p.size)
	return used, p.checkFreelist(freelist)
}

// readMeta reads the newer of the two pages that have where all others are.
func readMeta(file io.ReaderAt, fileSize int64) (p *pages, root, freelist uint64, err error) {
	var newest uint64
	found := false
	for _, at := range metaPlaces {
		m := make([]byte, pageHeader+metaSize)
		if n, err := file.ReadAt(m, at); n < len(m) {
			if err != io.EOF {
				return nil, 0, 0, err
			}
			continue
		}
		m = m[pageHeader:]
		hash := fnv.New64a()
		hash.Write(m[:metaSize-8])
		size, id := uint64(order.Uint32(m[8:])), order.Uint64(m[48:])
		if order.Uint32(m) != metaMagic || order.Uint32(m[4:]) != metaVersion || order.Uint64(m[56:]) != hash.Sum64() ||
			bits.OnesCount64(size) != 1 || at != 0 && uint64(at) != size || found && (size != p.size || id < newest) {
			continue
		}
		found, newest = true, id
		p = &pages{file: file, size: size, end: order.Uint64(m[40:])}
		root, freelist = order.Uint64(m[16:]), order.Uint64(m[32:])
	}
	if !found {
		return nil, 0, 0, unusable{error: errors.New("it is no database, or its first pages are corrupt")}
	}
	if p.end < 2 || p.end > uint64(fileSize)/p.size {
		return nil, 0, 0, corrupt("it has %d bytes, of %d pages of %d bytes", fileSize, p.end, p.size)
	}
	p.used, p.left = make([]bool, p.end), p.end
	return p, root, freelist, nil
}

// metaPlaces are where the second of those pages can be, by the size of a page, after the first.
var metaPlaces = []int64{0, 1 << 10, 2 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10}
