import { expect, test } from 'vitest';
import type { TextDocument, TextDocumentChangeEvent } from 'vscode';
import { documentLimit } from '../../../extension/document-limit.ts';
import { MAX_DOCUMENT_CHARACTERS } from '../../../protocol/messages/request.ts';

const LARGE = 'x'.repeat(MAX_DOCUMENT_CHARACTERS + 1);

function documentOf(text: string): TextDocument {
  return { uri: { toString: () => 'file:///a.py' }, getText: () => text } as TextDocument;
}

function changeOf(document: TextDocument, text: string): TextDocumentChangeEvent {
  return { document, contentChanges: [{ text }] } as unknown as TextDocumentChangeEvent;
}

function limited() {
  const sent: string[] = [];
  const limit = documentLimit(async () => void sent.push('forget'));
  const next = (what: string) => async () => void sent.push(what);
  return {
    sent,
    open: (document: TextDocument) => limit.didOpen(document, next('open')),
    change: (document: TextDocument, text: string) => limit.didChange(changeOf(document, text), next('change')),
    save: (document: TextDocument) => limit.didSave(document, next('save')),
    close: (document: TextDocument) => limit.didClose(document, next('close')),
  };
}

test('a document that is too large is never told of', async () => {
  const { sent, open, change, save, close } = limited();
  const document = documentOf(LARGE);
  await open(document);
  await change(document, 'a');
  await save(document);
  await close(document);
  expect(sent).toEqual([]);
});

test('too large a paste closes its document, until it is opened again', async () => {
  const { sent, open, change, save, close } = limited();
  const document = documentOf('a = 1');
  await open(document);
  await change(document, 'b');
  await change(document, LARGE);
  await change(document, 'c');
  await save(document);
  await close(document);
  await open(document);
  await save(document);
  await close(document);
  expect(sent).toEqual(['open', 'change', 'forget', 'open', 'save', 'close']);
});
