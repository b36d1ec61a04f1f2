package hpack

const (
	// entryOverhead is what each entry counts beyond its strings (RFC 7541, Section 4.1).
	entryOverhead = 32
	// DefaultTableSize is the size of a dynamic table before any SETTINGS (RFC 9113,
	// Section 6.5.2). We keep to it in both directions: 4 KiB per direction and
	// connection hold the fields that repeat; more only costs memory.
	DefaultTableSize = 4096
)

type entry struct {
	name, value string
	mark        uint16
}

func (e *entry) size() uint32 { return uint32(len(e.name)+len(e.value)) + entryOverhead }

// dynamicTable is a queue of entries in a ring. Entries are numbered from 0 in the
// order of insertion, for ever; the ring holds numbers last-live to last-1.
type dynamicTable struct {
	ring []entry // its length is a power of two, or 0
	last uint64  // number of the next entry
	live uint64  // how many there are
	size uint32  // RFC 7541, Section 4.1
	max  uint32
}

func (t *dynamicTable) at(number uint64) *entry { return &t.ring[number&uint64(len(t.ring)-1)] }

// byIndex returns the entry with an index of the combined address space (RFC 7541,
// Section 2.3.3), nil when there is none.
func (t *dynamicTable) byIndex(i uint64) *entry {
	if i == 0 || i > uint64(len(staticTable))+t.live {
		return nil
	}
	if i <= uint64(len(staticTable)) {
		return &staticTable[i-1]
	}
	return t.at(t.last - (i - uint64(len(staticTable))))
}

// index is the inverse of byIndex for the entry with this number.
func (t *dynamicTable) index(number uint64) uint64 {
	return uint64(len(staticTable)) + t.last - number
}

func (t *dynamicTable) setMax(n uint32) {
	t.max = n
	t.evict(0)
}

// evict makes room for n bytes (RFC 7541, Sections 4.3 and 4.4).
func (t *dynamicTable) evict(n uint32) {
	for t.live > 0 && t.size+n > t.max {
		old := t.at(t.last - t.live)
		t.size -= old.size()
		*old = entry{}
		t.live--
	}
}

// insert adds e. One that is larger than the table empties it, which is no error
// (RFC 7541, Section 4.4); then insert reports false.
func (t *dynamicTable) insert(e entry) bool {
	size := e.size()
	if size > t.max {
		t.evict(t.max)
		return false
	}
	t.evict(size)
	if t.live == uint64(len(t.ring)) {
		t.grow()
	}
	*t.at(t.last) = e
	t.last++
	t.live++
	t.size += size
	return true
}

func (t *dynamicTable) grow() {
	old := *t
	t.ring = make([]entry, max(8, 2*len(old.ring)))
	for n := old.last - old.live; n < old.last; n++ {
		*t.at(n) = *old.at(n)
	}
}

// staticTable is RFC 7541, Appendix A; index 1 is its first row.
var staticTable = [61]entry{
	{name: ":authority"},
	{name: ":method", value: "GET"},
	{name: ":method", value: "POST"},
	{name: ":path", value: "/"},
	{name: ":path", value: "/index.html"},
	{name: ":scheme", value: "http"},
	{name: ":scheme", value: "https"},
	{name: ":status", value: "200"},
	{name: ":status", value: "204"},
	{name: ":status", value: "206"},
	{name: ":status", value: "304"},
	{name: ":status", value: "400"},
	{name: ":status", value: "404"},
	{name: ":status", value: "500"},
	{name: "accept-charset"},
	{name: "accept-encoding", value: "gzip, deflate"},
	{name: "accept-language"},
	{name: "accept-ranges"},
	{name: "accept"},
	{name: "access-control-allow-origin"},
	{name: "age"},
	{name: "allow"},
	{name: "authorization"},
	{name: "cache-control"},
	{name: "content-disposition"},
	{name: "content-encoding"},
	{name: "content-language"},
	{name: "content-length"},
	{name: "content-location"},
	{name: "content-range"},
	{name: "content-type"},
	{name: "cookie"},
	{name: "date"},
	{name: "etag"},
	{name: "expect"},
	{name: "expires"},
	{name: "from"},
	{name: "host"},
	{name: "if-match"},
	{name: "if-modified-since"},
	{name: "if-none-match"},
	{name: "if-range"},
	{name: "if-unmodified-since"},
	{name: "last-modified"},
	{name: "link"},
	{name: "location"},
	{name: "max-forwards"},
	{name: "proxy-authenticate"},
	{name: "proxy-authorization"},
	{name: "range"},
	{name: "referer"},
	{name: "refresh"},
	{name: "retry-after"},
	{name: "server"},
	{name: "set-cookie"},
	{name: "strict-transport-security"},
	{name: "transfer-encoding"},
	{name: "user-agent"},
	{name: "vary"},
	{name: "via"},
	{name: "www-authenticate"},
}

// staticNames maps a name to its first row in staticTable, counted from 1.
var staticNames = makeStaticNames()

func makeStaticNames() map[string]uint8 {
	m := make(map[string]uint8, len(staticTable))
	for i := len(staticTable) - 1; i >= 0; i-- {
		m[staticTable[i].name] = uint8(i + 1)
	}
	return m
}
