package feed

import "encoding/binary"

// keptLines are lines that are read again later. They are in blocks, each after its number and its length, so that they take
// hardly more memory than in the file.
type keptLines [][]byte

const blockSize = 1 << 16

func (k *keptLines) add(line int, text []byte) {
	last := len(*k) - 1
	if last < 0 || cap((*k)[last])-len((*k)[last]) < 2*binary.MaxVarintLen64+len(text) {
		*k = append(*k, make([]byte, 0, blockSize))
		last++
	}
	block := binary.AppendUvarint((*k)[last], uint64(line))
	block = binary.AppendUvarint(block, uint64(len(text)))
	(*k)[last] = append(block, text...)
}

// each calls do for the lines, in their order.
func (k keptLines) each(do func(line int, text []byte)) {
	for _, block := range k {
		for len(block) > 0 {
			line, n := binary.Uvarint(block)
			length, m := binary.Uvarint(block[n:])
			block = block[n+m:]
			do(int(line), block[:length:length])
			block = block[length:]
		}
	}
}
