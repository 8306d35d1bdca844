/** The files of a drop, with those inside dropped folders. */

/** Reads the drop at once: its items are gone when the event is over. */
export async function droppedFiles(drop: DataTransfer): Promise<File[]> {
  const plain = [...drop.files];
  const entries = [...drop.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  if (!entries.some((entry) => entry.isDirectory)) return plain;
  return (await Promise.all(entries.map(filesOf))).flat();
}

async function filesOf(entry: FileSystemEntry): Promise<File[]> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    // A folder holds more than pictures: .DS_Store, notes, side files.
    return file.type.startsWith("image/") || /\.(heic|heif|avif)$/i.test(file.name) ? [file] : [];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const found: File[] = [];
  for (;;) {
    // One read gives a hundred entries at most; an empty one is the end.
    const part = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (!part.length) return found;
    found.push(...(await Promise.all(part.map(filesOf))).flat());
  }
}
