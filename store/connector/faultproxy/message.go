package faultproxy

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"slices"
)

func isEndOfRequest(message []byte) bool { return slices.Contains([]byte("QSX"), message[0]) }

// isEndOfAnswer knows ReadyForQuery and CopyInResponse.
func isEndOfAnswer(message []byte) bool { return slices.Contains([]byte("ZG"), message[0]) }

// isEndOfGreeting knows ReadyForQuery and the kinds of authentication that want an answer.
func isEndOfGreeting(message []byte) bool {
	return message[0] == 'Z' || message[0] == 'R' && slices.Contains([]byte{3, 5, 10, 11}, message[8])
}

func isCancel(startup []byte) bool {
	const cancelRequest = 80877102
	return binary.BigEndian.Uint32(startup[4:]) == cancelRequest
}

// until reads messages up to the last; with an error it returns those before the end.
func until(r *bufio.Reader, isLast func([]byte) bool) (messages [][]byte, err error) {
	for {
		message, err := packet(r, 1)
		if err != nil {
			return messages, err
		}
		messages = append(messages, message)
		if isLast(message) {
			return messages, nil
		}
	}
}

// packet reads one message: a type of 0 or 1 bytes, and a length that counts itself.
func packet(r *bufio.Reader, typeBytes int) ([]byte, error) {
	head := make([]byte, typeBytes+4)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	message := make([]byte, typeBytes+int(binary.BigEndian.Uint32(head[typeBytes:])))
	copy(message, head)
	_, err := io.ReadFull(r, message[len(head):])
	return message, err
}

// Message frames one.
func Message(kind byte, body string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4)), body...)
}

// ErrorMessage is an ErrorResponse.
func ErrorMessage(severity, code string) []byte {
	return Message('E', "S"+severity+"\x00V"+severity+"\x00C"+code+"\x00Mfrom the proxy between\x00\x00")
}

// ErrorAnswer is the end of an answer, outside a transaction.
func ErrorAnswer(severity, code string) []byte {
	return slices.Concat(ErrorMessage(severity, code), Message('Z', "I"))
}

// OneRow is the begin of an answer: a description of one column of type text, and a row.
func OneRow() []byte {
	return slices.Concat(Message('T', "\x00\x01c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x19\xff\xff\xff\xff\xff\xff\x00\x00"),
		Message('D', "\x00\x01\x00\x00\x00\x01x"))
}

// parameter is the value of one of the parameters that a session starts with.
func parameter(startup []byte, name string) string {
	parts := bytes.Split(startup[8:], []byte{0})
	for n := 0; n+1 < len(parts); n += 2 {
		if string(parts[n]) == name {
			return string(parts[n+1])
		}
	}
	return ""
}
