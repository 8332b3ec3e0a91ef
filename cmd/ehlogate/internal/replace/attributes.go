package replace

import (
	"bytes"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// copyAttributes gives a new file the owner, mode, access list and labels of an old one.
func copyAttributes(to, from *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(from.Fd()), &st); err != nil {
		return err
	}
	var have unix.Stat_t
	if err := unix.Fstat(int(to.Fd()), &have); err != nil {
		return err
	}
	if have.Uid != st.Uid || have.Gid != st.Gid {
		if err := to.Chown(int(st.Uid), int(st.Gid)); err != nil {
			return err
		}
	}
	if err := unix.Fchmod(int(to.Fd()), st.Mode&0o7777); err != nil {
		return err
	}
	return copyExtended(to, from)
}

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
