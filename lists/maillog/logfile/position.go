package logfile

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// headSize is how many bytes of the beginning of a log tell it from others. The first line of a log has its time.
const headSize = 1 << 10

// Position is up to where a log was read. It finds the log again under another name, and notices another log that has its
// inode.
type Position struct {
	Device uint64 `json:"device"`
	Inode  uint64 `json:"inode"`
	Offset int64  `json:"offset"` // of the first line that was not read
	// Head is a hash of the first HeadSize bytes, which is 0 if the log is empty.
	Head     string `json:"head"`
	HeadSize int64  `json:"head_size"`
	// Changed is when the log was written last, in nanoseconds since 1970. Parts of it that are newer were not read.
	Changed int64 `json:"changed"`
}

// IsValid reports whether there can be such a position. A file with positions may be broken.
func (p Position) IsValid() bool {
	return p.Offset >= 0 && p.HeadSize >= 0 && p.HeadSize <= headSize
}

// isSameFile reports whether info is of the file of the position, or of one that has its inode now.
func (p *Position) isSameFile(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && uint64(st.Dev) == p.Device && st.Ino == p.Inode
}

// isAt reports whether both positions are in files with the same inode.
func (p *Position) isAt(other Position) bool {
	return p.Device == other.Device && p.Inode == other.Inode
}

// beginsAlike reports whether a file begins as the log of the position did, and has what was read of it.
func (p *Position) beginsAlike(f *os.File, size int64) bool {
	if size < p.Offset || size < p.HeadSize {
		return false
	}
	head, ok := hashHead(f, p.HeadSize)
	return ok && head == p.Head
}

// hashHead returns a hash of the first size bytes of a file.
func hashHead(f *os.File, size int64) (head string, ok bool) {
	if size == 0 {
		return "", true
	}
	buf := make([]byte, size)
	if n, _ := f.ReadAt(buf, 0); int64(n) < size {
		return "", false
	}
	sum := sha256.Sum256(buf)
	return hex.EncodeToString(sum[:8]), true
}

// findParts returns the paths of the parts of a log that can be followed, the oldest first and the one that is being
// written last: path itself, beside it what rotation made of it, and the same beside the file that a link leads to.
func findParts(path string) (paths []string) {
	families := []string{path}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		if family := parsePart(real).family; family != path {
			families = append(families, family)
		}
	}
	var parts []part
	for _, family := range families {
		more, _ := filepath.Glob(escapeGlob(strings.TrimSuffix(family, ".log")) + "*") // the pattern is valid
		for _, p := range more {
			if part := parsePart(p); part.family == family && part.rotated && !isCompressed(p) {
				if info, err := os.Stat(p); err == nil {
					part.file.Newest = info.ModTime()
				}
				part.file.Path = p
				parts = append(parts, part)
			}
		}
	}
	slices.SortStableFunc(parts, comparePart)
	for _, p := range parts {
		paths = append(paths, p.file.Path)
	}
	return append(paths, path)
}

func isCompressed(path string) bool {
	return slices.Contains(compressions, filepath.Ext(path))
}

func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
