package cells

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// Limits of an Arrow stream from outside.
const (
	maxMessages      = 1 << 16
	maxMetadataBytes = 128 << 10
	maxBodyBytes     = 1 << 30
	maxFields        = MaxAxes + 1 + 3*MaxMeasures
	maxSchemaPairs   = 64 // of a schema's metadata
	maxFieldPairs    = 2  // of a field's
)

// Types of messages, enum MessageHeader of the format's Message.fbs.
const (
	messageSchema     = 1
	messageDictionary = 2
	messageRecords    = 3
)

// messages reads an IPC stream message by message for the Arrow library, which
// trusts the lengths it finds: what could make it allocate without end, or take
// time without end, is refused here. What merely makes it panic is left to
// ReadArrow's recover; it happens in the same goroutine.
type messages struct {
	r      io.Reader
	memory *allowance
	rows   int64
	read   int
}

var _ ipc.MessageReader = (*messages)(nil)

func (m *messages) Retain()  {}
func (m *messages) Release() {}

// Message implements ipc.MessageReader. The encapsulated format is: 0xFFFFFFFF,
// the metadata's length with its padding, metadata, body.
func (m *messages) Message() (*ipc.Message, error) {
	var head [8]byte
	if _, err := io.ReadFull(m.r, head[:4]); err == io.EOF {
		return nil, io.EOF
	} else if err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(m.r, head[4:]); err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint32(head[4:])
	switch m.read++; {
	case binary.LittleEndian.Uint32(head[:4]) != 0xFFFFFFFF:
		return nil, fmt.Errorf("no message begins here")
	case size == 0:
		return nil, io.EOF
	case size > maxMetadataBytes:
		return nil, fmt.Errorf("a message's metadata of %d bytes, at most %d", size, maxMetadataBytes)
	case m.read > maxMessages:
		return nil, fmt.Errorf("more than %d messages", maxMessages)
	}
	metadata := make([]byte, size)
	if _, err := io.ReadFull(m.r, metadata); err != nil {
		return nil, err
	}
	length, err := m.check(metadata)
	if err != nil {
		return nil, err
	}
	var body bytes.Buffer // grows with what is there, not with what is announced
	if _, err := io.CopyN(&body, m.r, length); err != nil {
		return nil, err
	}
	m.memory.left = 2*length + 1<<20
	return ipc.NewMessage(memory.NewBufferBytes(metadata), memory.NewBufferBytes(body.Bytes())), nil
}

// check reads as much of the metadata as is needed to refuse it, and gives the
// body's length. The numbers are the fields' places in Message.fbs and Schema.fbs.
func (m *messages) check(metadata []byte) (body int64, err error) {
	message := root(metadata)
	if body = int64(message.u64(3)); body < 0 || body > maxBodyBytes {
		return 0, fmt.Errorf("a message's body of %d bytes, at most %d", body, maxBodyBytes)
	}
	header, ok := message.table(2)
	if !ok {
		return 0, fmt.Errorf("a message without a header")
	}
	switch kind := message.u8(1); kind {
	case messageSchema:
		return body, checkSchema(header)
	case messageDictionary:
		if header.u8(2) != 0 {
			return 0, fmt.Errorf("a dictionary that continues another")
		}
		if header, ok = header.table(1); !ok {
			return 0, fmt.Errorf("a dictionary without data")
		}
	case messageRecords:
	default:
		return 0, fmt.Errorf("a message of type %d", kind)
	}
	if rows := int64(header.u64(0)); rows < 0 || rows > m.rows {
		return 0, fmt.Errorf("a batch of %d rows, at most %d", rows, m.rows)
	}
	if _, compressed := header.table(3); compressed {
		return 0, fmt.Errorf("a compressed batch: only uncompressed ones are read")
	}
	return body, nil
}

func checkSchema(schema flat) error {
	fields := schema.vector(1)
	if len(fields) > maxFields || len(schema.vector(2)) > maxSchemaPairs {
		return fmt.Errorf("more than %d fields, or %d pairs of metadata", maxFields, maxSchemaPairs)
	}
	for _, field := range fields {
		if len(field.vector(5)) > 0 {
			return fmt.Errorf("a nested field")
		}
		if len(field.vector(6)) > maxFieldPairs {
			return fmt.Errorf("a field with more than %d pairs of metadata", maxFieldPairs)
		}
	}
	return nil
}

// flat is a table of a FlatBuffer: its bytes and where the table begins. Reading
// outside panics, which ReadArrow recovers from; nothing follows references in a
// circle.
type flat struct {
	b  []byte
	at int
}

func root(b []byte) flat { return flat{b, int(binary.LittleEndian.Uint32(b))} }

// field finds field n by the table's vtable.
func (t flat) field(n int) (at int, ok bool) {
	vtable := t.at - int(int32(binary.LittleEndian.Uint32(t.b[t.at:])))
	if 4+2*n+2 > int(binary.LittleEndian.Uint16(t.b[vtable:])) {
		return 0, false
	}
	offset := int(binary.LittleEndian.Uint16(t.b[vtable+4+2*n:]))
	return t.at + offset, offset != 0
}

func (t flat) u8(n int) byte {
	if at, ok := t.field(n); ok {
		return t.b[at]
	}
	return 0
}

func (t flat) u64(n int) uint64 {
	if at, ok := t.field(n); ok {
		return binary.LittleEndian.Uint64(t.b[at:])
	}
	return 0
}

func (t flat) table(n int) (flat, bool) {
	at, ok := t.field(n)
	if !ok {
		return flat{}, false
	}
	return flat{t.b, at + int(binary.LittleEndian.Uint32(t.b[at:]))}, true
}

// vector gives the tables of a vector.
func (t flat) vector(n int) []flat {
	v, ok := t.table(n) // the reference is the same
	if !ok {
		return nil
	}
	items := t.b[v.at+4:][:4*int(binary.LittleEndian.Uint32(t.b[v.at:]))]
	out := make([]flat, len(items)/4)
	for i := range out {
		at := v.at + 4 + 4*i
		out[i] = flat{t.b, at + int(binary.LittleEndian.Uint32(t.b[at:]))}
	}
	return out
}

// allowance lets a message's buffers take what its body has, and panics beyond:
// buffers of a hostile message may overlap, or be longer than the body.
type allowance struct {
	memory.GoAllocator
	left int64
}

func (a *allowance) take(n int) {
	if n < 0 || int64(n) > a.left {
		panic("a message that takes more memory than it has bytes")
	}
	a.left -= int64(n)
}

// Allocate implements memory.Allocator.
func (a *allowance) Allocate(size int) []byte {
	a.take(size)
	return a.GoAllocator.Allocate(size)
}

// Reallocate implements memory.Allocator.
func (a *allowance) Reallocate(size int, b []byte) []byte {
	a.take(size)
	return a.GoAllocator.Reallocate(size, b)
}
