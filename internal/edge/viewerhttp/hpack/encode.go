package hpack

// Indexing says what may become of a field in the dynamic table.
type Indexing uint8

const (
	// Index is for fields that are likely to come again with the same value.
	Index Indexing = iota
	// NoIndex is for fields whose value changes from answer to answer: they would
	// only push useful ones out (RFC 7541, Section 6.2.2).
	NoIndex
	// NeverIndex is for secrets: nobody on the way may index them either, so that
	// their value cannot be guessed by watching sizes (RFC 7541, Sections 6.2.3 and 7.1.3).
	NeverIndex
)

// largestIndexed is the largest entry that the Encoder puts into its table: one
// field must not push out all others.
const largestIndexed = DefaultTableSize / 4

// Encoder encodes the field blocks of one direction of one connection. Blocks must
// be sent in the order in which they were encoded.
type Encoder struct {
	table  dynamicTable
	hashes []uint32 // of name and value, beside table.ring

	// What the peer has to be told at the start of the next block (RFC 7541, Section 4.2).
	update   bool
	smallest uint32
}

// NewEncoder returns an Encoder for a peer that has not sent SETTINGS.
func NewEncoder() *Encoder {
	return &Encoder{table: dynamicTable{max: DefaultTableSize}}
}

// SetPeerTableSize takes the peer's SETTINGS_HEADER_TABLE_SIZE. Call it between
// blocks only. We never use more than DefaultTableSize.
func (e *Encoder) SetPeerTableSize(n uint32) {
	n = min(n, DefaultTableSize)
	if n == e.table.max && !e.update {
		return
	}
	if !e.update {
		e.update, e.smallest = true, n
	}
	e.smallest = min(e.smallest, n)
	e.table.setMax(n)
}

// AppendKnown appends the field line if it stands in the dynamic table, and reports
// whether it did.
func (e *Encoder) AppendKnown(dst []byte, name, value string) ([]byte, bool) {
	n, ok := e.find(hashOf(name, value), name, value)
	if !ok {
		return dst, false
	}
	if e.update {
		dst = e.appendUpdate(dst)
	}
	return AppendInt(dst, 0x80, 7, e.table.index(n)), true
}

// AppendField appends one field line to a block.
func (e *Encoder) AppendField(dst []byte, name, value string, how Indexing) []byte {
	if e.update {
		dst = e.appendUpdate(dst)
	}
	var hash uint32
	if how == Index {
		hash = hashOf(name, value)
		if n, ok := e.find(hash, name, value); ok {
			return AppendInt(dst, 0x80, 7, e.table.index(n))
		}
	}
	index := uint64(staticNames[name])
	if index != 0 && how == Index {
		for i := index; i <= uint64(len(staticTable)) && staticTable[i-1].name == name; i++ {
			if staticTable[i-1].value == value && value != "" {
				return AppendInt(dst, 0x80, 7, i)
			}
		}
	}
	if index == 0 {
		index = e.findName(name)
	}
	switch {
	case how == NeverIndex:
		dst = AppendInt(dst, 0x10, 4, index)
	case how == Index && len(name)+len(value)+entryOverhead <= min(largestIndexed, int(e.table.max)):
		dst = AppendInt(dst, 0x40, 6, index)
		e.insert(hash, name, value)
	default:
		dst = AppendInt(dst, 0, 4, index)
	}
	if index == 0 {
		dst = appendText(dst, name)
	}
	return appendText(dst, value)
}

// appendUpdate announces changes of the table's size: the smallest one since the
// last block, when it went up again, and the last one.
func (e *Encoder) appendUpdate(dst []byte) []byte {
	e.update = false
	if e.smallest < e.table.max {
		dst = AppendInt(dst, 0x20, 5, uint64(e.smallest))
	}
	return AppendInt(dst, 0x20, 5, uint64(e.table.max))
}

func appendText(dst []byte, s string) []byte {
	if n := HuffmanLen(s); n < len(s) {
		dst = AppendInt(dst, 0x80, 7, uint64(n))
		return AppendHuffman(dst, s)
	}
	dst = AppendInt(dst, 0, 7, uint64(len(s)))
	return append(dst, s...)
}

// hashOf is quick and weak. It only spares comparisons: an origin that sends many
// fields with one hash makes find look at each of the at most 128 entries.
func hashOf(name, value string) uint32 {
	h := uint32(len(name))<<8 ^ uint32(len(value))
	for _, s := range [2]string{name, value} {
		if n := len(s); n > 0 {
			h = h*0x01000193 ^ (uint32(s[0]) | uint32(s[n/2])<<8 | uint32(s[n-1])<<16 | uint32(s[n/4])<<24)
			h = h*0x01000193 ^ (uint32(s[3*n/4]) | uint32(s[n-1-n/8])<<8)
		}
	}
	return h
}

func (e *Encoder) find(hash uint32, name, value string) (number uint64, ok bool) {
	t := &e.table
	mask := uint64(len(t.ring) - 1)
	for n := t.last; n > t.last-t.live; {
		n--
		if e.hashes[n&mask] == hash {
			if x := t.at(n); x.name == name && x.value == value {
				return n, true
			}
		}
	}
	return 0, false
}

// findName returns the index of an entry with this name, 0 when there is none.
func (e *Encoder) findName(name string) uint64 {
	t := &e.table
	for n := t.last; n > t.last-t.live; {
		n--
		if t.at(n).name == name {
			return t.index(n)
		}
	}
	return 0
}

func (e *Encoder) insert(hash uint32, name, value string) {
	t := &e.table
	// A copy: the strings may be parts of a whole head that need not live as long as
	// the connection.
	both := name + value
	if !t.insert(entry{name: both[:len(name)], value: both[len(name):]}) {
		return
	}
	if len(e.hashes) != len(t.ring) {
		e.hashes = make([]uint32, len(t.ring))
		for n := t.last - t.live; n < t.last; n++ {
			x := t.at(n)
			e.hashes[n&uint64(len(t.ring)-1)] = hashOf(x.name, x.value)
		}
	}
	e.hashes[(t.last-1)&uint64(len(t.ring)-1)] = hash
}
