export function withSourceRoot(text: string): string;
