//go:build !openbsd

package replace

import (
	"bytes"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// copyExtended copies extended attributes (xattr(7)): access control lists, SELinux labels.
func copyExtended(to, from *os.File) error {
	names := make([]byte, 64<<10) // XATTR_LIST_MAX
	n, err := unix.Flistxattr(int(from.Fd()), names)
	if errors.Is(err, unix.ENOTSUP) || n == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	for name := range bytes.SplitSeq(bytes.TrimSuffix(names[:n], []byte{0}), []byte{0}) {
		value := make([]byte, 64<<10) // XATTR_SIZE_MAX
		size, err := unix.Fgetxattr(int(from.Fd()), string(name), value)
		if err != nil {
			return err
		}
		if has := make([]byte, len(value)); sameAttribute(to, string(name), has, value[:size]) {
			continue // such as the label that the system gave the new file already
		}
		if err := unix.Fsetxattr(int(to.Fd()), string(name), value[:size], 0); err != nil {
			return err
		}
	}
	return nil
}

func sameAttribute(f *os.File, name string, buf, want []byte) bool {
	n, err := unix.Fgetxattr(int(f.Fd()), name, buf)
	return err == nil && bytes.Equal(buf[:n], want)
}
