// Package cpupressure reads the CPU pressure that Linux measures (PSI), and has the limit for unknown clients follow it.
package cpupressure

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"syscall"
	"time"

	"ehlogate/lists/filewatch"
)

// DefaultFiles are read if the operator names no file, the first that there is. A unit with ProcSubset=pid has no
// /proc/pressure, and the cgroup at the root says the same: of the machine, or inside of a container of that.
var DefaultFiles = []string{"/proc/pressure/cpu", "/sys/fs/cgroup/cpu.pressure", "/sys/fs/cgroup/unified/cpu.pressure"}

// maxFile is the largest size of such a file. It has two lines.
const maxFile = 4 << 10

// Error is why the CPU pressure cannot be read.
type Error struct {
	msg, hint string
}

func (e *Error) Error() string { return e.msg }

// Hint returns what the operator can do.
func (e *Error) Hint() string { return e.hint }

const hintBoot = "boot a kernel that has CONFIG_PSI=y, with psi=1 on its command line"

// Measure returns for how long, since the kernel started, a task has been ready and waited for a processor, and the file
// that says so: the named one, or one of DefaultFiles if name is "".
func Measure(name string) (total time.Duration, file string, err *Error) {
	files := []string{name}
	if name == "" {
		files = DefaultFiles
	}
	for i, f := range files {
		text, readErr := filewatch.ReadFile(f, maxFile)
		if errors.Is(readErr, fs.ErrNotExist) && i < len(files)-1 {
			continue
		}
		if readErr != nil {
			return 0, f, newError(name, f, readErr)
		}
		total, err := parseTotal(f, text)
		return total, f, err
	}
	panic("unreachable: the last file returns")
}

func newError(named, file string, err error) *Error {
	switch {
	case errors.Is(err, syscall.EOPNOTSUPP):
		return &Error{fmt.Sprintf("CPU pressure is switched off: %v", err), "boot with psi=1, and write 1 into the file cgroup.pressure beside it if there is one"}
	case named == "" && errors.Is(err, fs.ErrNotExist):
		return &Error{fmt.Sprintf("this system has no CPU pressure: %s does not exist", strings.Join(DefaultFiles, " or ")), hintBoot}
	case errors.Is(err, fs.ErrNotExist):
		return &Error{err.Error(), "name the cpu.pressure of a cgroup that runs (systemd-cgls shows them), or remove pressure_file for that of the whole machine"}
	case errors.Is(err, fs.ErrPermission):
		return &Error{err.Error(), "make it readable for the user that ehlogate runs as, or remove pressure_file for that of the whole machine"}
	}
	return &Error{fmt.Sprintf("cannot read the CPU pressure: %v", err), "name the cpu.pressure of a cgroup in pressure_file, or remove the key for that of the whole machine"}
}

// parseTotal returns the total of a line such as "some avg10=0.00 avg60=0.00 avg300=0.00 total=12345", in microseconds.
func parseTotal(file string, text []byte) (time.Duration, *Error) {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	fields := strings.Fields(string(line))
	if len(fields) > 1 && fields[0] == "some" {
		for _, f := range fields[1:] {
			if value, ok := strings.CutPrefix(f, "total="); ok {
				if n, err := strconv.ParseInt(value, 10, 64); err == nil && n >= 0 && n < int64(1<<63-1)/1000 {
					return time.Duration(n) * time.Microsecond, nil
				}
			}
		}
	}
	return 0, &Error{fmt.Sprintf("%s:1: no line such as \"some avg10=0.00 avg60=0.00 avg300=0.00 total=0\"", file), "name a file cpu.pressure of Linux"}
}
