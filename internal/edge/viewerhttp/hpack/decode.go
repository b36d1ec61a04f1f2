package hpack

import (
	"errors"
	"fmt"
)

// Decoder decodes the field blocks of one direction of one connection.
//
// What it costs is bounded by what comes in: a table of DefaultTableSize, strings
// of at most 8/5 of the block's length, and one call of emit for each byte. A field
// that stands in the table is handed out without a copy, so that a block full of
// indexes ("HPACK bomb") costs its length, not its decoded size; who keeps the
// fields bounds their number and size.
type Decoder struct {
	table   dynamicTable
	inspect func(name, value string) uint16
	static  *[len(staticTable)]uint16 // what inspect says of the static table
	scratch []byte
}

// Inspector judges fields once, when they come in literally; the mark travels with
// the field as long as it stays in the table. Make one for all connections.
type Inspector struct {
	inspect func(name, value string) uint16
	static  [len(staticTable)]uint16
}

// NewInspector returns an Inspector that marks fields with what inspect returns.
func NewInspector(inspect func(name, value string) uint16) *Inspector {
	in := &Inspector{inspect: inspect}
	for i, e := range staticTable {
		in.static[i] = inspect(e.name, e.value)
	}
	return in
}

// NewDecoder returns a Decoder for a peer that has been told no other size of the
// dynamic table than DefaultTableSize. in may be nil.
func NewDecoder(in *Inspector) *Decoder {
	d := &Decoder{table: dynamicTable{max: DefaultTableSize}}
	if in != nil {
		d.inspect, d.static = in.inspect, &in.static
	}
	return d
}

var (
	errLateUpdate = errors.New("a table size update does not stand at the start of the block (RFC 7541, Section 4.2)")
	errUpdateSize = errors.New("a table size update is above the limit (RFC 7541, Section 6.3)")
)

// Decode decodes one complete field block and calls emit for every field line in
// order. After an error the Decoder is of no more use: the connection must end
// with COMPRESSION_ERROR (RFC 9113, Section 4.3).
func (d *Decoder) Decode(block []byte, emit func(Field)) error {
	for fields := 0; len(block) > 0; {
		var f Field
		var err error
		first := block[0]
		switch {
		case first&0x80 != 0: // Section 6.1
			f, block, err = d.indexed(block)
		case first&0xc0 == 0x40: // Section 6.2.1
			f, block, err = d.literal(block, 6)
			if err == nil {
				d.table.insert(entry{f.Name, f.Value, f.Mark})
			}
		case first&0xe0 == 0x20: // Section 6.3
			if fields > 0 {
				return errLateUpdate
			}
			if block, err = d.sizeUpdate(block); err == nil {
				continue
			}
		default: // Sections 6.2.2 and 6.2.3
			f, block, err = d.literal(block, 4)
			f.Sensitive = first&0x10 != 0
		}
		if err != nil {
			return err
		}
		fields++
		emit(f)
	}
	return nil
}

func (d *Decoder) indexed(b []byte) (Field, []byte, error) {
	i, rest, err := ReadInt(b, 7)
	if err != nil {
		return Field{}, nil, err
	}
	e := d.table.byIndex(i)
	if e == nil {
		return Field{}, nil, fmt.Errorf("index %d is beyond the table (RFC 7541, Section 2.3.3)", i)
	}
	f := Field{Name: e.name, Value: e.value, Mark: e.mark}
	if i <= uint64(len(staticTable)) && d.static != nil {
		f.Mark = d.static[i-1]
	}
	return f, rest, nil
}

func (d *Decoder) literal(b []byte, prefix uint8) (f Field, rest []byte, err error) {
	i, rest, err := ReadInt(b, prefix)
	if err != nil {
		return f, nil, err
	}
	if i == 0 {
		if f.Name, rest, err = d.text(rest); err != nil {
			return f, nil, err
		}
	} else {
		e := d.table.byIndex(i)
		if e == nil {
			return f, nil, fmt.Errorf("name index %d is beyond the table (RFC 7541, Section 2.3.3)", i)
		}
		f.Name = e.name
	}
	if f.Value, rest, err = d.text(rest); err != nil {
		return f, nil, err
	}
	if d.inspect != nil {
		f.Mark = d.inspect(f.Name, f.Value)
	}
	return f, rest, nil
}

// text reads a string literal (RFC 7541, Section 5.2). Its result shares nothing
// with b.
func (d *Decoder) text(b []byte) (string, []byte, error) {
	n, rest, err := ReadInt(b, 7)
	if err != nil {
		return "", nil, err
	}
	if n > uint64(len(rest)) {
		return "", nil, errTruncated
	}
	raw, rest := rest[:n], rest[n:]
	if b[0]&0x80 == 0 {
		return string(raw), rest, nil
	}
	out, err := DecodeHuffman(d.scratch[:0], raw)
	if err != nil {
		return "", nil, err
	}
	if cap(out) <= 1024 { // an idle connection need not keep what one long cookie took
		d.scratch = out[:0]
	}
	return string(out), rest, nil
}

func (d *Decoder) sizeUpdate(b []byte) ([]byte, error) {
	n, rest, err := ReadInt(b, 5)
	if err != nil {
		return nil, err
	}
	if n > DefaultTableSize {
		return nil, errUpdateSize
	}
	d.table.setMax(uint32(n))
	return rest, nil
}
