package replace

import (
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
	if err := unix.Fchmod(int(to.Fd()), uint32(st.Mode)&0o7777); err != nil {
		return err
	}
	return copyExtended(to, from)
}
