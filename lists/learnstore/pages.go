package learnstore

import "bytes"

// read reads a page, and counts it as used. It fails if it is used twice.
func (p *pages) read(id uint64) (h header, err error) {
	if id < 2 || id >= p.end {
		return h, corrupt("page %d of %d is needed", id, p.end)
	}
	data := make([]byte, p.size)
	if _, err := p.file.ReadAt(data, int64(id*p.size)); err != nil {
		return h, err
	}
	more := uint64(order.Uint32(data[12:]))
	if order.Uint64(data) != id || more >= p.end-id {
		return h, corrupt("page %d is another one, or too long", id)
	}
	if more > 0 {
		data = append(data, make([]byte, more*p.size)...)
		if _, err := p.file.ReadAt(data[p.size:], int64((id+1)*p.size)); err != nil {
			return h, err
		}
	}
	for i := id; i <= id+more; i++ {
		if p.used[i] {
			return h, corrupt("page %d is used twice", i)
		}
		p.used[i] = true
		p.left--
	}
	return newHeader(data), nil
}

func newHeader(data []byte) header {
	return header{order.Uint16(data[8:]), order.Uint16(data[10:]), data}
}

// element returns the key of element i of a page, and the n bytes that follow it. Its fields posAt and sizeAt are where the
// key is, and how long.
func (h header) element(i, posAt, sizeAt int, n int64) (key, value []byte, err error) {
	at := pageHeader + i*elementSize
	if at+elementSize > len(h.data) {
		return nil, nil, corrupt("a page has too many elements")
	}
	e := h.data[at:]
	pos, size := int64(order.Uint32(e[posAt:])), int64(order.Uint32(e[sizeAt:]))
	if size == 0 || pos+size+n > int64(len(e)) {
		return nil, nil, corrupt("an element is not within its page")
	}
	return e[pos : pos+size], e[pos+size : pos+size+n], nil
}

// checkTree checks the tree of a bucket. Only the root bucket has buckets in it.
func (p *pages) checkTree(root uint64, isRoot bool) error {
	h, err := p.read(root)
	if err == nil {
		_, err = p.checkPage(h, nil, isRoot)
	}
	return err
}

// checkPage checks a page and those below it. Its keys must not be less than least. It returns its last key.
func (p *pages) checkPage(h header, least []byte, isRoot bool) (last []byte, err error) {
	if p.depth++; p.depth > maxDepth {
		return nil, corrupt("a page is %d levels below the first", p.depth)
	}
	defer func() { p.depth-- }()
	last = least
	for i := range int(h.count) {
		var key, value []byte
		var below uint64
		switch h.flags {
		case branchPage:
			if key, _, err = h.element(i, 0, 4, 0); err == nil {
				below = order.Uint64(h.data[pageHeader+i*elementSize+8:])
			}
		case leafPage:
			key, value, err = h.leafElement(i, isRoot)
		default:
			err = corrupt("a page has flags %#x", h.flags)
		}
		if err != nil {
			return nil, err
		}
		if c := bytes.Compare(key, last); c < 0 || c == 0 && i > 0 {
			return nil, corrupt("a page is not sorted")
		}
		last = key
		switch {
		case h.flags == branchPage:
			var next header
			if next, err = p.read(below); err == nil {
				last, err = p.checkPage(next, key, isRoot)
			}
		case isRoot:
			err = p.checkBucket(value)
		}
		if err != nil {
			return nil, err
		}
	}
	if h.count == 0 && h.flags != leafPage {
		return nil, corrupt("a page with flags %#x has no elements", h.flags)
	}
	return last, nil
}

// leafElement returns a key and its value.
func (h header) leafElement(i int, isRoot bool) (key, value []byte, err error) {
	at := pageHeader + i*elementSize
	if at+elementSize > len(h.data) {
		return nil, nil, corrupt("a page has too many elements")
	}
	if isBucket := order.Uint32(h.data[at:]) == bucketEntry; isBucket != isRoot {
		return nil, nil, corrupt("a bucket is in another one, or a value outside of one")
	}
	return h.element(i, 4, 8, int64(order.Uint32(h.data[at+12:])))
}

// checkBucket checks the bucket whose description is the value of an element: a small one has its page there.
func (p *pages) checkBucket(value []byte) error {
	if len(value) < bucketHeader {
		return corrupt("a bucket is too small")
	}
	if root := order.Uint64(value); root != 0 {
		return p.checkTree(root, false)
	}
	page := value[bucketHeader:]
	if len(page) < pageHeader {
		return corrupt("a bucket is too small")
	}
	h := newHeader(page)
	if h.flags != leafPage {
		return corrupt("a small bucket has flags %#x", h.flags)
	}
	_, err := p.checkPage(h, nil, false)
	return err
}

// checkFreelist checks that no page is free that is in use.
func (p *pages) checkFreelist(id uint64) error {
	if id == noFreelist {
		return nil
	}
	h, err := p.read(id)
	if err != nil {
		return err
	}
	ids, count := h.data[pageHeader:], uint64(h.count)
	if count == manyFree && len(ids) >= 8 {
		count, ids = order.Uint64(ids), ids[8:]
	}
	if h.flags != freelistPage || count > uint64(len(ids)/8) {
		return corrupt("the list of free pages is none, or too long")
	}
	for i := range count {
		id := order.Uint64(ids[8*i:])
		if id < 2 || id >= p.end || p.used[id] {
			return corrupt("page %d is free and in use", id)
		}
		p.used[id] = true // so that it is free only once
	}
	return nil
}
