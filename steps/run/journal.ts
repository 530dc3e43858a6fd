export interface Journal {
    placeholder: true;
}
