package filewatch

import (
	"io"
	"io/fs"
	"os"
	"syscall"
)

// maxSize is the largest size of a file in bytes: 20 million entries with notes of a hundred bytes are smaller.
const maxSize = 4 << 30

// Read opens a file of the snapshot and calls read with its content. It returns a [ChangedError] if the file is not as
// the snapshot saw it, or changes meanwhile; else a diag.Problem or a [ReadError] if the file cannot be opened; else the
// error of read.
//
// If allowAppend is true, more may be appended to the file. It is read as far as the snapshot saw it.
func (s Snapshot) Read(name string, activity *Activity, allowAppend bool, read func(io.ReadSeeker) error) error {
	want := s.stamps[name]
	f, info, err := openRegular(name, activity)
	if err != nil {
		if isAbsent(err) != want.missing {
			return ChangedError(name)
		}
		return classify(name, err)
	}
	defer f.Close()
	opened := stampOf(info).content
	isSame := func(now, before content) bool { return now == before || allowAppend && now.grewFrom(before) }
	if want.missing || !want.unreachable && !isSame(opened, want.content) {
		return ChangedError(name)
	}
	if err := checkSize(opened.size, maxSize); err != nil {
		return classify(name, err)
	}
	size := opened.size
	if allowAppend && !want.unreachable {
		size = want.size
	}
	err = read(io.NewSectionReader(f, 0, size))
	// Not the ctime: the file may have been replaced by now, which does not change its content.
	after, statErr := f.Stat()
	if statErr != nil || !isSame(stampOf(after).content, opened) || err != nil && after.Size() > size { // the last line may be incomplete
		return ChangedError(name)
	}
	return err
}

// openRegular opens a regular file. Unlike open(2) without O_NONBLOCK it does not wait for a named pipe.
func openRegular(name string, activity *Activity) (*watchedFile, fs.FileInfo, error) {
	defer activity.begin("open", name)()
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil {
		if err = checkRegular(info); err != nil {
			err = &fs.PathError{Op: "read", Path: name, Err: err}
		}
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return &watchedFile{f, activity}, info, nil
}

// ReadFile returns the content of a regular file of at most limit bytes.
func ReadFile(name string, limit int64) ([]byte, error) {
	f, _, err := openRegular(name, nil)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil {
		if err = checkSize(int64(len(text)), limit); err != nil {
			err = &fs.PathError{Op: "read", Path: name, Err: err}
		}
	}
	return text, err
}
